// SPDX-License-Identifier: MIT

package main

// As tables.c.

const (
	buckets     = 65536
	capacity    = 50000
	keys        = 150000
	textsMost   = 100000
	lettersMost = 12
)

type entry struct {
	next, newer, older *entry
	text               []byte
	key                uint64
}

type cache struct {
	buckets        []*entry
	newest, oldest *entry
	nr             int
}

func (c *cache) bucket(key uint64) **entry {
	return &c.buckets[key*0x9e3779b97f4a7c15>>48]
}

func (c *cache) find(key uint64) *entry {
	e := *c.bucket(key)
	for e != nil && e.key != key {
		e = e.next
	}
	return e
}

func (c *cache) unlinkUse(e *entry) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		c.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		c.oldest = e.newer
	}
}

func (c *cache) linkUse(e *entry) {
	e.older, e.newer = c.newest, nil
	if c.newest != nil {
		c.newest.newer = e
	} else {
		c.oldest = e
	}
	c.newest = e
}

func (c *cache) dropOldest() {
	e := c.oldest
	link := c.bucket(e.key)
	for *link != e {
		link = &(*link).next
	}
	*link = e.next
	c.unlinkUse(e)
	c.nr--
}

func (c *cache) add(key uint64, t *timer) {
	e := &entry{key: key}
	t.count()
	e.text = make([]byte, 16+key%256)
	t.count()
	for i := range e.text {
		e.text[i] = byte(key & 127)
	}
	e.next = *c.bucket(key)
	*c.bucket(key) = e
	c.linkUse(e)
	c.nr++
}

func runLRU(size int, thread uint64, t *timer) uint64 {
	random, total := randomSeed(thread), uint64(0)
	c := new(cache)
	t.count()
	c.buckets = make([]*entry, buckets)
	t.count()
	for i := 0; i < size; i++ {
		a, b := randomNext(&random)%keys, randomNext(&random)%keys
		key := a
		if b < a {
			key = b
		}
		if e := c.find(key); e != nil {
			total += uint64(len(e.text)) + uint64(e.text[len(e.text)/2])
			c.unlinkUse(e)
			c.linkUse(e)
			continue
		}
		if c.nr == capacity {
			c.dropOldest()
		}
		c.add(key, t)
	}
	return total
}

type text struct {
	next    *text
	letters []byte
	hash    uint32
}

func nextText(random *uint64, letters *[lettersMost]byte) []byte {
	number := randomNext(random)
	nr := 2 + number%(lettersMost-1)
	for i := uint64(0); i < nr; i++ {
		number = number>>5 | number<<59
		letters[i] = byte('a' + number&(number>>7&15))
	}
	return letters[:nr]
}

func hashOf(letters []byte) uint32 {
	hash := uint32(2166136261)
	for _, letter := range letters {
		hash = (hash ^ uint32(letter)) * 16777619
	}
	return hash
}

func intern(table []*text, letters []byte, nrTexts *int, t *timer) *text {
	hash := hashOf(letters)
	bucket := &table[hash%buckets]
	for s := *bucket; s != nil; s = s.next {
		if s.hash == hash && string(s.letters) == string(letters) {
			return s
		}
	}
	s := &text{hash: hash}
	t.count()
	s.letters = make([]byte, len(letters))
	t.count()
	copy(s.letters, letters)
	s.next = *bucket
	*bucket = s
	*nrTexts++
	return s
}

func runIntern(size int, thread uint64, t *timer) uint64 {
	random, total, nrTexts := randomSeed(thread), uint64(0), 0
	table := make([]*text, buckets)
	t.count()
	for i := 0; i < size; i++ {
		var letters [lettersMost]byte
		s := intern(table, nextText(&random, &letters), &nrTexts, t)
		total += uint64(s.hash ^ uint32(len(s.letters)))
		if nrTexts == textsMost {
			table, nrTexts = make([]*text, buckets), 0
			t.count()
		}
	}
	return total
}
