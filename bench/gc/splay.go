// SPDX-License-Identifier: MIT

package main

import "math"

// As splay.c.

const (
	splayNodes   = 8000
	payloadDepth = 5
	numbers      = 10
	textBytes    = 40
)

type payload struct {
	left, right *payload
	numbers     *[numbers]uint64
	text        *[textBytes]byte
}

type splayNode struct {
	left, right *splayNode
	payload     *payload
	key         uint64
}

func fillLeaf(leaf *payload, key uint64, t *timer) {
	leaf.numbers = new([numbers]uint64)
	t.count()
	for i := range leaf.numbers {
		leaf.numbers[i] = key + uint64(i)
	}
	leaf.text = new([textBytes]byte)
	t.count()
	for i := range leaf.text {
		leaf.text[i] = byte('a' + (key+uint64(i))%26)
	}
}

func newPayload(depth int, key uint64, t *timer) *payload {
	p := new(payload)
	t.count()
	if depth == 0 {
		fillLeaf(p, key, t)
		return p
	}
	p.left = newPayload(depth-1, key, t)
	p.right = newPayload(depth-1, key, t)
	return p
}

func splay(root *splayNode, key uint64) *splayNode {
	var head splayNode
	less, more := &head, &head
	for key != root.key {
		if key < root.key {
			child := root.left
			if child == nil {
				break
			}
			if key < child.key {
				root.left, child.right, root = child.right, root, child
				if root.left == nil {
					break
				}
			}
			more.left, more, root = root, root, root.left
		} else {
			child := root.right
			if child == nil {
				break
			}
			if key > child.key {
				root.right, child.left, root = child.left, root, child
				if root.right == nil {
					break
				}
			}
			less.right, less, root = root, root, root.right
		}
	}
	less.right, more.left = root.left, root.right
	root.left, root.right = head.right, head.left
	return root
}

func insert(root *splayNode, key uint64, t *timer) *splayNode {
	n := &splayNode{key: key}
	t.count()
	n.payload = newPayload(payloadDepth, key, t)
	if root == nil {
		return n
	}
	root = splay(root, key)
	if key > root.key {
		n.left, n.right, root.right = root, root.right, nil
	} else {
		n.right, n.left, root.left = root, root.left, nil
	}
	return n
}

func removeBefore(root *splayNode, total *uint64) *splayNode {
	if root.left == nil {
		*total += root.key
		return root.right
	}
	victim := splay(root.left, math.MaxUint64)
	*total += victim.key
	root.left = victim.left
	return root
}

func insertRandom(root *splayNode, random *uint64, t *timer) *splayNode {
	for {
		key := randomNext(random) >> 1
		if root == nil {
			return insert(root, key, t)
		}
		if root = splay(root, key); root.key != key {
			return insert(root, key, t)
		}
	}
}

func emptyTree(root *splayNode) uint64 {
	total := uint64(0)
	for root != nil {
		root = splay(root, 0)
		total = total*3 + root.key + root.payload.left.left.left.left.left.numbers[3]
		root = root.right
	}
	return total
}

func runSplay(size int, thread uint64, t *timer) uint64 {
	random, total := randomSeed(thread), uint64(0)
	var root *splayNode
	for i := 0; i < splayNodes; i++ {
		root = insertRandom(root, &random, t)
	}
	for i := 0; i < size; i++ {
		root = insertRandom(root, &random, t)
		root = removeBefore(root, &total)
	}
	return total + emptyTree(root)
}
