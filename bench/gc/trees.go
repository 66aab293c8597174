// SPDX-License-Identifier: MIT

package main

// As trees.c.

const (
	depthOfTrees = 13
	treeNodes    = 2<<depthOfTrees - 1
	forestTrees  = 128
	replaced     = 8
	slotBytes    = 32
	depthLeast   = 4
	arrayWords   = 500000
)

type node struct {
	left, right *node
	value       uint64
}

// Numbers the nodes of a thread in the order in which they are made.
type maker struct {
	t     *timer
	value uint64
}

func (m *maker) node(left, right *node) *node {
	m.value++
	n := &node{left, right, m.value}
	m.t.count()
	return n
}

func (m *maker) buildUp(depth int) *node {
	if depth == 0 {
		return m.node(nil, nil)
	}
	left := m.buildUp(depth - 1)
	right := m.buildUp(depth - 1)
	return m.node(left, right)
}

func sum(n *node) uint64 {
	if n == nil {
		return 0
	}
	return n.value + 3*sum(n.left) + 5*sum(n.right)
}

func (m *maker) forest(nr int) []*node {
	forest := make([]*node, nr)
	m.t.count()
	for i := range forest {
		forest[i] = m.buildUp(depthOfTrees)
	}
	return forest
}

func sumForest(forest []*node) uint64 {
	total := uint64(0)
	for _, tree := range forest {
		total = 7*total + sum(tree)
	}
	return total
}

func changeForest(nr, size int, t *timer) uint64 {
	m, total := maker{t, 0}, uint64(0)
	forest := m.forest(nr)
	for i := 0; i < size; i++ {
		tree := m.buildUp(depthOfTrees)
		total += tree.left.value
		if i%replaced == 0 {
			forest[i/replaced%nr] = tree
		}
	}
	return total + sumForest(forest)
}

func runTrees(size int, thread uint64, t *timer) uint64 {
	return changeForest(forestTrees, size, t)
}

func runHalfTrees(size int, thread uint64, t *timer) uint64 {
	return changeForest(forestTrees/2, size/2, t)
}

func walk(n *node, path uint64) uint64 {
	total := uint64(0)
	for ; n != nil; path >>= 1 {
		total += n.value
		if path&1 != 0 {
			n = n.right
		} else {
			n = n.left
		}
	}
	return total
}

func runLarge(size int, thread uint64, t *timer) uint64 {
	nr := size<<20/(treeNodes*slotBytes) + 1
	m, total, random := maker{t, thread}, uint64(0), randomSeed(thread)
	forest := m.forest(nr)
	for i := 0; i < nr/4; i++ {
		tree := m.buildUp(depthOfTrees)
		for j := 0; j < treeNodes; j++ {
			path := randomNext(&random)
			total += walk(forest[(path>>32)%uint64(nr)], path)
		}
		forest[randomNext(&random)%uint64(nr)] = tree
	}
	return total + sumForest(forest)
}

func (m *maker) buildDown(n *node, depth int) {
	if depth == 0 {
		return
	}
	n.left = m.node(nil, nil)
	n.right = m.node(nil, nil)
	m.buildDown(n.left, depth-1)
	m.buildDown(n.right, depth-1)
}

func (m *maker) tryDepth(depth, depthMost int) uint64 {
	total := uint64(0)
	for i := 2 * (2<<(depthMost+2) - 1) / (2<<depth - 1); i > 0; i-- {
		tree := m.node(nil, nil)
		m.buildDown(tree, depth)
		total += tree.left.value
		tree = m.buildUp(depth)
		total += tree.right.value
	}
	return total
}

func runGCBench(size int, thread uint64, t *timer) uint64 {
	m := maker{t, thread}
	total := m.buildUp(size + 2).value
	tree := m.node(nil, nil)
	m.buildDown(tree, size)
	array := make([]uint64, arrayWords)
	m.t.count()
	for i := range array {
		array[i] = uint64(i) * uint64(i)
	}
	for depth := depthLeast; depth <= size; depth += 2 {
		total += m.tryDepth(depth, size)
	}
	return total + sum(tree) + array[arrayWords/2]
}
