/* An intrusive, circular, doubly linked list. A head is a node that links to itself when empty; a
 * node that is in no list links to itself too, so list_remove is idempotent. */
#ifndef ROLLCALL_UTIL_LIST_H
#define ROLLCALL_UTIL_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev;
    struct list *next;
};

/* The struct around a node. */
#define container_of(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *node) {
    node->prev = node->next = node;
}

static inline bool list_is_empty(const struct list *head) {
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *node) {
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#endif
