#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>
#include "sender_harness.h"
int main(int argc, char **argv) {
    static char body[1<<20];
    (void)argc;
    sender_harness_setup(NULL);
    size_t n = fread(body,1,sizeof body,stdin);
    struct sender_outcome o = sender_harness_parse(argv[1], span_from(body,n));
    fprintf(stderr,"rc=%d accepted=%u rejected=%u path=%s msg=%s\n", o.rc,o.accepted,o.rejected,o.first.path,o.first.message);
    fwrite(o.lines.ptr,1,o.lines.len,stdout);
    sender_harness_teardown(NULL);
    return 0;
}
