/* SPDX-License-Identifier: Apache-2.0 */
/* A doubly linked list: `link` is the pointer that leads to the entry, so that it is taken out without a search. */
#include "fs/serve/opened.h"

void opened_init(struct opened_list *list)
{
	*list = (struct opened_list){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

void opened_add(struct opened_list *list, struct opened *opened)
{
	pthread_mutex_lock(&list->lock);
	opened->next = list->first;
	opened->link = &list->first;
	if (opened->next)
		opened->next->link = &opened->next;
	list->first = opened;
	pthread_mutex_unlock(&list->lock);
}

void opened_close(struct opened_list *list, struct opened *opened, void *ops)
{
	pthread_mutex_lock(&list->lock);
	*opened->link = opened->next;
	if (opened->next)
		opened->next->link = opened->link;
	pthread_mutex_unlock(&list->lock);
	opened->close(ops, opened);
}

void opened_close_all(struct opened_list *list, void *ops)
{
	while (list->first)
		opened_close(list, list->first, ops);
	pthread_mutex_destroy(&list->lock);
}
