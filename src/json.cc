// simdjson's first stage behind C functions; see json_stage1.h. Logic stands in json.c, not here.
//
// Nothing here throws: memory comes from nothrow new, and simdjson's own functions are noexcept.
#include "json_stage1.h"

#include <cerrno>
#include <memory>
#include <new>

#include <simdjson.h>

struct json_stage1 {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
};

extern "C" struct json_stage1 *json_stage1_new(void) {
    return new (std::nothrow) json_stage1;
}

extern "C" void json_stage1_free(struct json_stage1 *stage) {
    delete stage;
}

extern "C" int json_stage1_resize(struct json_stage1 *stage, size_t bytes) {
    // Its second stage never runs, so that a depth of 1 only keeps that stage's stacks small.
    stage->parser.reset();
    simdjson::error_code error =
        simdjson::get_active_implementation()->create_dom_parser_implementation(bytes, 1,
                                                                                stage->parser);
    if (error) {
        stage->parser.reset();
        return -ENOMEM;
    }
    return 0;
}

extern "C" int json_stage1_run(struct json_stage1 *stage, const char *text, size_t len,
                               struct json_indexes *indexes) {
    if (stage->parser->stage1(reinterpret_cast<const uint8_t *>(text), len,
                              simdjson::stage1_mode::regular))
        return JSON_STAGE1_REFUSED;
    indexes->at = stage->parser->structural_indexes.get();
    indexes->count = stage->parser->n_structural_indexes;
    return 0;
}
