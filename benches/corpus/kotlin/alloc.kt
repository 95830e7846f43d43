// Allocation, and every shape of garbage: trees that live and die whole, short-lived temporaries,
// long lists, a hash table under churn, cycles, a long-lived structure that keeps pointing at new
// objects, arrays small and large, boxed numbers, strings, closures. Each section checks itself.

var failures = 0

fun check(name: String, expected: Any?, actual: Any?) {
    if (expected == actual) {
        println("$name: $actual")
    } else {
        failures++
        println("$name: WRONG, expected $expected, got $actual")
    }
}

class Lcg(seed: Int) {
    private var state = seed
    fun next(bound: Int): Int {
        state = state * 1664525 + 1013904223
        return ((state ushr 9) and 0x3fffff) % bound
    }
}

// --- binary trees: many short ones while a long-lived one waits ----------------------------------

class Tree(val left: Tree?, val right: Tree?)

fun bottomUp(depth: Int): Tree =
    if (depth == 0) Tree(null, null) else Tree(bottomUp(depth - 1), bottomUp(depth - 1))

fun Tree.count(): Int = 1 + (left?.count() ?: 0) + (right?.count() ?: 0)

fun binaryTrees(maxDepth: Int) {
    val longLived = bottomUp(maxDepth)
    for (depth in 4..maxDepth step 4) {
        val iterations = 1 shl (maxDepth - depth + 4)
        var total = 0L
        repeat(iterations) { total += bottomUp(depth).count() }
        check("trees of depth $depth", iterations.toLong() * ((2L shl depth) - 1), total)
    }
    check("long-lived tree", (2 shl maxDepth) - 1, longLived.count())
}

// --- linked lists: built, reversed, merged, sorted -----------------------------------------------

class Cell(val head: Int, var tail: Cell?)

fun range(n: Int, rng: Lcg): Cell? {
    var list: Cell? = null
    repeat(n) { list = Cell(rng.next(1_000_000), list) }
    return list
}

fun merge(a: Cell?, b: Cell?): Cell? {
    val start = Cell(0, null)
    var end = start
    var x = a
    var y = b
    while (x != null && y != null) {
        val c = if (x.head <= y.head) x.also { x = x.tail } else y.also { y = y.tail }
        val copy = Cell(c.head, null) // a new list, not the old one relinked
        end.tail = copy
        end = copy
    }
    end.tail = x ?: y
    return start.tail
}

fun mergeSort(list: Cell?, n: Int): Cell? {
    if (n == 0) return null
    if (n == 1) return Cell(list!!.head, null)
    var second = list
    repeat(n / 2) { second = second!!.tail }
    return merge(mergeSort(list, n / 2), mergeSort(second, n - n / 2))
}

fun lists() {
    val rng = Lcg(11)
    repeat(4) { round ->
        val list = range(50_000, rng)
        val sorted = mergeSort(list, 50_000)
        var n = 0
        var sum = 0L
        var ordered = true
        var at = sorted
        while (at != null) {
            n++
            sum += at.head
            val next = at.tail
            if (next != null && next.head < at.head) ordered = false
            at = next
        }
        var before = 0L
        at = list
        while (at != null) { before += at.head; at = at.tail }
        check("list $round", "50000 true true", "$n $ordered ${sum == before}")
        println("  sum $sum, least ${sorted!!.head}")
    }
}

// --- temporaries: vectors that die at once -------------------------------------------------------

class Vec(val x: Double, val y: Double, val z: Double) {
    operator fun plus(o: Vec) = Vec(x + o.x, y + o.y, z + o.z)
    operator fun minus(o: Vec) = Vec(x - o.x, y - o.y, z - o.z)
    operator fun times(k: Double) = Vec(x * k, y * k, z * k)
    infix fun dot(o: Vec) = x * o.x + y * o.y + z * o.z
    infix fun cross(o: Vec) = Vec(y * o.z - z * o.y, z * o.x - x * o.z, x * o.y - y * o.x)
}

fun temporaries() {
    var p = Vec(1.0, 0.0, 0.0)
    val axis = Vec(0.0, 0.0, 1.0)
    val steps = 1_500_000
    var drift = 0.0
    for (i in 0 until steps) {
        val v = axis cross p
        p = p + v * 0.001 - p * 0.0000005
        if (i % 500_000 == 0) drift += p dot axis
    }
    check("temporaries drift", 0.0, drift)
    val length2 = p dot p
    check("temporaries length", true, length2 > 0.99 && length2 < 1.01)
    println("temporaries: ${(p.x * 1e6).toInt()} ${(p.y * 1e6).toInt()}")
}

// --- a hash table under churn: most entries die young, some stay ---------------------------------

class Entry(val key: Int, var value: IntArray, var next: Entry?)

class Table(bits: Int) {
    private val buckets = arrayOfNulls<Entry>(1 shl bits)
    private val mask = (1 shl bits) - 1
    var size = 0
        private set

    private fun slot(key: Int) = (key * -1640531527 ushr 7) and mask

    fun find(key: Int): Entry? {
        var e = buckets[slot(key)]
        while (e != null && e.key != key) e = e.next
        return e
    }

    fun put(key: Int, value: IntArray) {
        val e = find(key)
        if (e != null) {
            e.value = value
        } else {
            val s = slot(key)
            buckets[s] = Entry(key, value, buckets[s])
            size++
        }
    }

    fun remove(key: Int): Boolean {
        val s = slot(key)
        var before: Entry? = null
        var e = buckets[s]
        while (e != null) {
            if (e.key == key) {
                if (before == null) buckets[s] = e.next else before.next = e.next
                size--
                return true
            }
            before = e
            e = e.next
        }
        return false
    }

    fun sum(): Long {
        var total = 0L
        for (b in buckets) {
            var e = b
            while (e != null) {
                total += e.value.size * 1000L + e.value[0]
                e = e.next
            }
        }
        return total
    }
}

fun churn() {
    val rng = Lcg(5)
    val table = Table(13)
    val library = HashMap<Int, Int>()
    var expected = 0L
    repeat(400_000) { step ->
        val key = if (step % 8 == 0) rng.next(1000) else 1000 + step / 64 + rng.next(4000)
        val old = table.find(key)
        if (old != null) expected -= old.value.size * 1000L + old.value[0]
        if (old != null && rng.next(3) > 0) {
            if (!table.remove(key)) failures++
            library.remove(key)
        } else {
            val value = IntArray(1 + rng.next(12))
            value[0] = step
            table.put(key, value)
            library[key] = step
            expected += value.size * 1000L + value[0]
        }
    }
    check("churn sum", expected, table.sum())
    check("churn size", library.size, table.size)
    println("churn: ${table.size} entries, ${library.entries.sumOf { it.key.toLong() * 31 + it.value }}")
}

// --- cycles and old objects that point at young ones ---------------------------------------------

class Page(val id: Int) {
    var newer: Page? = null
    var older: Page? = null
    var body: ByteArray? = null
}

/** Least recently used: a doubly linked ring, every use relinks old pages; dropped ones are cycles. */
class Lru(private val capacity: Int) {
    private val ring = Page(-1).also { it.newer = it; it.older = it }
    private val index = HashMap<Int, Page>()
    var hits = 0
    var misses = 0

    private fun unlink(p: Page) {
        p.newer!!.older = p.older
        p.older!!.newer = p.newer
    }

    private fun linkNewest(p: Page) {
        p.older = ring.older
        p.newer = ring
        ring.older!!.newer = p
        ring.older = p
    }

    fun use(id: Int): Page {
        val found = index[id]
        if (found != null) {
            hits++
            unlink(found)
            linkNewest(found)
            return found
        }
        misses++
        if (index.size >= capacity) {
            val victim = ring.newer!!
            unlink(victim)
            index.remove(victim.id)
            victim.newer = victim // an island that refers to itself
            victim.older = victim
        }
        val page = Page(id)
        page.body = ByteArray(16 + id % 48) { (id + it).toByte() }
        index[id] = page
        linkNewest(page)
        return page
    }

    fun verify(): Boolean {
        var n = 0
        var p = ring.newer!!
        while (p !== ring) {
            if (p.newer!!.older !== p || index[p.id] !== p || p.body!![5] != (p.id + 5).toByte()) return false
            n++
            p = p.newer!!
        }
        return n == index.size
    }
}

class Member(val id: Int) {
    val friends = arrayOfNulls<Member>(4)
    var mark = -1
}

fun cycles() {
    val rng = Lcg(77)
    val lru = Lru(2000)
    repeat(300_000) { lru.use(if (rng.next(4) == 0) rng.next(50_000) else rng.next(2500)) }
    check("lru verified", true, lru.verify())
    println("lru: ${lru.hits} hits, ${lru.misses} misses")

    // A graph whose members are replaced one after another: every edge of an old one is re-aimed.
    val members = Array(3000) { Member(it) }
    for (m in members) for (k in 0..3) m.friends[k] = members[rng.next(members.size)]
    repeat(300_000) { step ->
        val i = rng.next(members.size)
        val fresh = Member(members.size + step)
        for (k in 0..3) fresh.friends[k] = members[rng.next(members.size)]
        members[i] = fresh
        members[rng.next(members.size)].friends[rng.next(4)] = fresh
    }
    var reached = 0
    var digest = 0L
    val queue = ArrayDeque<Member>()
    for (m in members) {
        if (m.mark == 1) continue
        m.mark = 1
        queue.addLast(m)
        while (queue.isNotEmpty()) {
            val x = queue.removeFirst()
            reached++
            digest = digest * 31 + x.id
            for (f in x.friends) if (f!!.mark != 1) { f.mark = 1; queue.addLast(f) }
        }
    }
    println("graph: $reached reached, digest $digest")
    check("graph complete", true, reached >= members.size && members.all { it.mark == 1 })
}

// --- arrays, strings, boxes, closures ------------------------------------------------------------

fun arrays() {
    val rng = Lcg(3)
    val kept = arrayOfNulls<LongArray>(64)
    var total = 0L
    repeat(3000) { step ->
        val size = if (step % 100 == 0) 60_000 else 1 + rng.next(400)
        val a = LongArray(size)
        a[0] = step.toLong()
        a[size - 1] += size.toLong()
        val slot = rng.next(kept.size)
        val old = kept[slot]
        if (old != null) total += old[0] + old[old.size - 1]
        kept[slot] = a
    }
    for (a in kept) if (a != null) total += a[0] + a[a.size - 1]
    println("arrays: $total")
    val rows = Array(300) { r -> Array(300) { c -> intArrayOf(r, c, r * c) } }
    check("rows", 300L * 299 / 2 * (300 * 299 / 2), rows.sumOf { row -> row.sumOf { it[2].toLong() } })
    val growing = ArrayList<Any>()
    for (i in 0 until 200_000) growing.add(if (i % 2 == 0) i else i.toLong() * 3_000_000_000L)
    check("boxes", 9999900000L, growing.sumOf { if (it is Int) it.toLong() else 0L })
    check("big boxes", 30_000_000_000_000_000_000.0, growing.sumOf { if (it is Long) it.toDouble() else 0.0 })
}

fun texts() {
    var text = ""
    var length = 0L
    for (i in 0 until 60_000) {
        text = if (text.length > 60) "" else text + (i % 100)
        length += text.length
    }
    println("texts: $length '$text'")
    val words = HashMap<String, Int>()
    for (i in 0 until 60_000) {
        val w = "w" + (i * 7919 % 1009).toString(36)
        words[w] = (words[w] ?: 0) + 1
    }
    check("words", "1009 60000", "${words.size} ${words.values.sum()}")
}

fun closures() {
    val handlers = ArrayList<(Int) -> Int>()
    for (i in 0 until 500) {
        var calls = 0
        handlers.add { x -> calls++; x + i * calls }
    }
    var x = 0
    for (round in 1..200) for (h in handlers) x = h(x) and 0xffffff
    println("closures: $x")
    var composed: (Int) -> Int = { it }
    repeat(1000) { k -> val before = composed; composed = { before(it) + k } }
    check("composed", 499_500 + 7, composed(7))
}

fun main() {
    binaryTrees(16)
    lists()
    temporaries()
    churn()
    cycles()
    arrays()
    texts()
    closures()
    println(if (failures == 0) "ok" else "FAILED $failures")
}
