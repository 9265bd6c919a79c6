/* So many a turn; see ration.h. */
#include "util/ration.h"

void ration_init(struct ration *ration, unsigned each_turn) {
    list_init(&ration->queue);
    ration->each_turn = ration->left = each_turn;
}

void ration_place_init(struct ration_place *place) {
    list_init(&place->link);
    place->called = false;
}

bool ration_take(struct ration *ration, struct ration_place *place) {
    if (place->called) {
        place->called = false;
        return true;
    }
    if (!ration->left || ration_is_awaited(ration))
        return false;
    ration->left--;
    return true;
}

void ration_return(struct ration *ration) {
    ration->left += ration->left < ration->each_turn;
}

void ration_queue(struct ration *ration, struct ration_place *place) {
    if (list_is_empty(&place->link))
        list_append(&ration->queue, &place->link);
}

void ration_leave(struct ration_place *place) {
    list_remove(&place->link);
}

void ration_begin_turn(struct ration *ration) {
    ration->left = ration->each_turn;
}

struct ration_place *ration_call(struct ration *ration) {
    if (!ration->left || !ration_is_awaited(ration))
        return NULL;
    struct ration_place *place = container_of(ration->queue.next, struct ration_place, link);
    list_remove(&place->link);
    place->called = true;
    ration->left--;
    return place;
}
