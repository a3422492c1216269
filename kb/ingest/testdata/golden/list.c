#include <stdlib.h>

struct node {
	int value;
	struct node *next;
};

/* Adds a value. */
static struct node *
add(struct node *head, int value)
{
	struct node *n = malloc(sizeof *n);
	return n;
}

int count(const struct node *head) {
	int n = 0;
	for (; head; head = head->next) n++;
	return n;
}
