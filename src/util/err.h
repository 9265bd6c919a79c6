/* Errors: 0 is success; negative is an errno value negated (the same numbers as libuv's UV_E*),
 * fatal to the object and forwarded unchanged; positive is the called module's own enum, and the
 * direct caller switches on it. */
#ifndef ROLLCALL_UTIL_ERR_H
#define ROLLCALL_UTIL_ERR_H

#define MUST_CHECK                 __attribute__((warn_unused_result))
#define PRINTF_LIKE(string, first) __attribute__((format(printf, string, first)))

#endif
