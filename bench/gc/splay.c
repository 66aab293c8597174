// SPDX-License-Identifier: MIT
/*
 * Splay: the benchmark of V8 that is known to be hard on collectors. A splay tree (D. Sleator and R. Tarjan, "Self-adjusting binary search trees", 1985) of
 * 8,000 nodes with random keys, each with a payload of a small tree. A step puts in a new node and takes out the one before it: all of the tree's
 * objects die old, and each step stores many pointers into old objects.
 */
#include "bench/gc/programs.h"
#include "bench/gc/runtime.h"

enum { NODES = 8000, PAYLOAD_DEPTH = 5, NUMBERS = 10, TEXT_BYTES = 40 };

struct payload {
	struct payload *left, *right;
	uint64_t *numbers;	/* of a leaf, as is */
	char *text;
};
RT_TYPE(payload_type, struct payload, left, right, numbers, text);

struct splay {
	struct splay *left, *right;
	struct payload *payload;
	uint64_t key;
};
RT_TYPE(splay_type, struct splay, left, right, payload);

void splay_prepare(void)
{
	RT_MAKE(payload_type);
	RT_MAKE(splay_type);
}

/* ---------------------------------------------------------------- payloads */

static void fill_leaf(struct payload *leaf, uint64_t key)
{
	uint64_t *numbers = rt_text(NUMBERS * sizeof(*numbers));
	char *text;

	rt_set(&leaf->numbers, numbers);
	for (unsigned int i = 0; i < NUMBERS; i++)
		numbers[i] = key + i;
	text = rt_text(TEXT_BYTES);
	rt_set(&leaf->text, text);
	for (unsigned int i = 0; i < TEXT_BYTES; i++)
		text[i] = (char)('a' + (key + i) % 26);
}

static struct payload *payload_new(unsigned int depth, uint64_t key)
{
	struct payload *payload = rt_new(payload_type);

	payload->left = payload->right = NULL;
	payload->numbers = NULL;
	payload->text = NULL;
	if (!depth) {
		fill_leaf(payload, key);
		return payload;
	}
	rt_set(&payload->left, payload_new(depth - 1, key));
	rt_set(&payload->right, payload_new(depth - 1, key));
	return payload;
}

static void payload_free(struct payload *payload)
{
	if (!RT_FREES || !payload)
		return;
	payload_free(payload->left);
	payload_free(payload->right);
	rt_free(payload->numbers);
	rt_free(payload->text);
	rt_free(payload);
}

/* ---------------------------------------------------------------- the tree */

/* Top-down: what is smaller is hung on @less, what is larger on @more, and the node nearest to @key becomes the root. */
static struct splay *splay(struct splay *root, uint64_t key)
{
	struct splay head = { 0 }, *less = &head, *more = &head;

	for (;;) {
		struct splay *child = key < root->key ? root->left : key > root->key ? root->right : NULL;
		bool is_left = key < root->key;

		if (!child)
			break;
		if (is_left ? key < child->key : key > child->key) {
			rt_set(is_left ? &root->left : &root->right, is_left ? child->right : child->left);
			rt_set(is_left ? &child->right : &child->left, root);
			root = child;
			child = is_left ? root->left : root->right;
			if (!child)
				break;
		}
		if (is_left) {
			rt_set(&more->left, root);
			more = root;
		} else {
			rt_set(&less->right, root);
			less = root;
		}
		root = child;
	}
	rt_set(&less->right, root->left);
	rt_set(&more->left, root->right);
	rt_set(&root->left, head.right);
	rt_set(&root->right, head.left);
	return root;
}

/* @key is not in the tree. */
static struct splay *insert(struct splay *root, uint64_t key)
{
	struct splay *node = rt_new(splay_type);

	node->key = key;
	node->left = node->right = NULL;
	node->payload = NULL;
	rt_set(&node->payload, payload_new(PAYLOAD_DEPTH, key));
	if (!root)
		return node;
	root = splay(root, key);
	if (key > root->key) {
		rt_set(&node->left, root);
		rt_set(&node->right, root->right);
		rt_set(&root->right, NULL);
	} else {
		rt_set(&node->right, root);
		rt_set(&node->left, root->left);
		rt_set(&root->left, NULL);
	}
	return node;
}


/* The greatest one before the root, which was put in last, or the root itself. */
static struct splay *remove_before(struct splay *root, uint64_t *total)
{
	struct splay *victim = root->left ? splay(root->left, UINT64_MAX) : root, *rest = victim->left;

	*total += victim->key;
	if (victim == root)
		rest = root->right;
	else
		rt_set(&root->left, rest);
	payload_free(victim->payload);
	rt_free(victim);
	return victim == root ? rest : root;
}

static bool has(struct splay **root, uint64_t key)
{
	if (!*root)
		return false;
	*root = splay(*root, key);
	return (*root)->key == key;
}

static struct splay *insert_random(struct splay *root, uint64_t *random)
{
	uint64_t key;

	do
		key = random_next(random) >> 1;
	while (has(&root, key));
	return insert(root, key);
}

/* From the smallest one on, so that the tree is a list to the right when it is gone. */
static uint64_t empty(struct splay *root)
{
	uint64_t total = 0;

	while (root) {
		struct splay *rest;

		root = splay(root, 0);
		rest = root->right;
		total = total * 3 + root->key + root->payload->left->left->left->left->left->numbers[3];
		payload_free(root->payload);
		rt_free(root);
		root = rest;
	}
	return total;
}

uint64_t run_splay(size_t size, unsigned int thread)
{
	uint64_t random = random_seed(thread), total = 0;
	struct splay *root = NULL;

	for (size_t i = 0; i < NODES; i++)
		root = insert_random(root, &random);
	for (size_t i = 0; i < size; i++) {
		root = insert_random(root, &random);
		root = remove_before(root, &total);
	}
	return total + empty(root);
}
