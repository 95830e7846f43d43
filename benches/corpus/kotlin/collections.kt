// The standard library at work: lists, sets, maps, deques, sorting, grouping, sequences, strings,
// builders, ranges, arrays, text parsing and formatting. Built twice: with dead code elimination
// and as collections_full.wasm without it, which is then the whole library.

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
    fun next(): Int {
        state = state * 1103515245 + 12345
        return (state ushr 8) and 0xffff
    }
    fun next(bound: Int): Int = next() % bound
}

fun hash(items: Iterable<Any?>): Int = items.fold(17) { h, x -> h * 31 + x.hashCode() }

data class Book(val title: String, val author: String, val year: Int, val pages: Int)

enum class Suit(val symbol: Char) { CLUBS('♣'), DIAMONDS('♦'), HEARTS('♥'), SPADES('♠') }

fun library(): List<Book> {
    val rng = Lcg(1)
    val authors = listOf("Ada", "Barbara", "Edsger", "Grace", "Niklaus", "Tony", "Frances")
    val nouns = listOf("Heap", "Stack", "Queue", "Barrier", "Root", "Nursery", "Forward", "Mark")
    return List(500) { i ->
        Book("${nouns[rng.next(nouns.size)]} $i", authors[rng.next(authors.size)], 1950 + rng.next(75), 50 + rng.next(900))
    }
}

// --- lists, grouping, sorting --------------------------------------------------------------------

fun lists() {
    val books = library()
    println("books: ${hash(books)}")
    val byAuthor = books.groupBy { it.author }
    for ((author, owned) in byAuthor.entries.sortedBy { it.key }) {
        println("  $author: ${owned.size} books, ${owned.sumOf { it.pages }} pages, oldest ${owned.minBy { it.year }.title}")
    }
    check("grouped", books.size, byAuthor.values.sumOf { it.size })
    val sorted = books.sortedWith(compareByDescending<Book> { it.year }.thenBy { it.author }.thenBy { it.title })
    check("sorted", true, sorted.zipWithNext().all { (a, b) -> a.year > b.year || a.year == b.year && a.author <= b.author })
    println("newest: ${sorted.take(3).joinToString { "${it.title} (${it.year})" }}")
    val (long, short) = books.partition { it.pages > 500 }
    println("long ${long.size}, short ${short.size}")
    check("partition", true, books.toSet() == (long + short).toSet() && long.all { it.pages > 500 } && short.none { it in long })
    println("decades: ${books.groupingBy { it.year / 10 * 10 }.eachCount().toList().sortedBy { it.first }}")
    println("windows: ${books.map { it.pages }.windowed(100, 100).map { it.sum() }}")
    println("chunks: ${books.chunked(123) { c -> c.maxOf { it.pages } }}")
    check("associate", 500, books.associateBy { it.title }.size)
    check("distinct", 7, books.distinctBy { it.author }.size)
    check("flatten", 2500, books.flatMap { b -> List(5) { b.pages + it } }.size)
    val mutable = books.mapTo(ArrayList()) { it.pages }
    mutable.removeAll { it % 3 == 0 }
    mutable.addAll(0, listOf(9, 8, 7))
    mutable.subList(10, 20).clear()
    mutable.reverse()
    mutable.retainAll { it != 8 }
    mutable.sortDescending()
    println("mutable: ${mutable.size} ${hash(mutable)} ${mutable.binarySearch(mutable[5], reverseOrder())}")
    check("running", listOf(1, 3, 6, 10, 15), (1..5).runningReduce { a, b -> a + b })
    check("zip", "1a 2b 3c", listOf(1, 2, 3).zip(listOf("a", "b", "c", "d")) { a, b -> "$a$b" }.joinToString(" "))
    check("slices", listOf(4, 2, 0), (0..9).toList().slice(4 downTo 0 step 2))
    check("fold right", "(1(2(3())))", listOf(1, 2, 3).foldRight("()") { x, acc -> "($x$acc)" })
    check("unsigned", 4294967295u, listOf(1u, 2u, 4294967292u).sum())
}

// --- maps, sets, deques --------------------------------------------------------------------------

fun maps() {
    val rng = Lcg(2)
    val counts = HashMap<Int, Int>()
    val linked = LinkedHashMap<String, MutableList<Int>>()
    val deque = ArrayDeque<Int>()
    var removed = 0
    for (i in 0 until 20_000) {
        val k = rng.next(2000)
        counts[k] = (counts[k] ?: 0) + 1
        linked.getOrPut("key${k % 97}") { mutableListOf() }.add(i)
        if (rng.next(3) == 0 && counts.remove(rng.next(2000)) != null) removed++
        if (i % 3 == 0) deque.addFirst(k) else deque.addLast(k)
        if (deque.size > 100) { deque.removeFirst(); if (i % 2 == 0) deque.removeLast() }
    }
    println("counts: ${counts.size} keys, ${counts.values.sum()} left, $removed removed, ${hash(counts.entries.sortedBy { it.key }.map { it.key * 7 + it.value })}")
    check("linked values", 20_000, linked.values.sumOf { it.size })
    println("linked order: ${linked.keys.take(5)} … ${linked.keys.last()}")
    println("deque: ${deque.size} ${hash(deque)}")
    val a = (1..300 step 3).toSet()
    val b = (1..300 step 5).toMutableSet()
    check("set algebra", "20 140 80 40", "${(a intersect b).size} ${(a union b).size} ${(a - b).size} ${(b - a).size}")
    b.removeAll(a)
    check("set removal", 40, b.size)
    check("map equality", mapOf("x" to 1, "y" to 2), mapOf("y" to 2, "x" to 1).filterValues { it > 0 })
    val inverted = mapOf("one" to 1, "two" to 2, "uno" to 1).entries.groupBy({ it.value }, { it.key })
    check("inverted", "{1=[one, uno], 2=[two]}", inverted.toString())
    val suits = Suit.entries.associateWith { it.symbol }
    println("suits: $suits ${Suit.valueOf("HEARTS").ordinal} ${enumValues<Suit>().joinToString("") { it.symbol.toString() }}")
    check("default", -1, mutableMapOf("a" to 1).withDefault { -1 }.getValue("zz"))
    check("built", "[1, 4, 9, 100]", buildList { for (i in 1..3) add(i * i); add(100) }.toString())
    check("merge", mapOf(1 to 11, 2 to 2), buildMap { put(1, 1); put(2, 2); compute(1) })
}

private fun MutableMap<Int, Int>.compute(key: Int) { this[key] = getValue(key) + 10 }

// --- sequences -----------------------------------------------------------------------------------

fun sequences() {
    val primes = sequence {
        val found = ArrayList<Int>()
        var n = 2
        while (true) {
            if (found.takeWhile { it * it <= n }.none { n % it == 0 }) {
                found.add(n)
                yield(n)
            }
            n++
        }
    }
    check("primes", 7919, primes.elementAt(999))
    val fib = generateSequence(0L to 1L) { (a, b) -> b to a + b }.map { it.first }
    check("fibonacci", 12586269025L, fib.elementAt(50))
    check("lazy", 10, (1..Int.MAX_VALUE).asSequence().map { it * 2 }.filter { it % 3 == 0 }.drop(100).take(10).toList().size)
    println("collatz: ${(1..30).map { n -> generateSequence(n) { if (it == 1) null else if (it % 2 == 0) it / 2 else 3 * it + 1 }.count() }}")
    check("zipped", 385, (1..10).asSequence().zip((1..10).asSequence()).sumOf { (a, b) -> a * b })
    check("chunked", listOf(6, 15, 24, 10), (1..10).asSequence().chunked(3) { it.sum() }.toList())
    check("flat", 55, (1..10).asSequence().flatMap { n -> List(n) { 1 }.asSequence() }.sum())
    check("scan", listOf(0, 1, 3, 6), sequenceOf(1, 2, 3).runningFold(0) { a, b -> a + b }.toList())
}

// --- strings -------------------------------------------------------------------------------------

fun wordWrap(text: String, width: Int): List<String> {
    val lines = ArrayList<String>()
    val line = StringBuilder()
    for (word in text.split(' ')) {
        if (line.isNotEmpty() && line.length + 1 + word.length > width) {
            lines.add(line.toString())
            line.clear()
        }
        if (line.isNotEmpty()) line.append(' ')
        line.append(word)
    }
    if (line.isNotEmpty()) lines.add(line.toString())
    return lines
}

fun runLength(text: String): String = buildString {
    var i = 0
    while (i < text.length) {
        var j = i
        while (j < text.length && text[j] == text[i]) j++
        if (j - i > 1) append(j - i)
        append(text[i])
        i = j
    }
}

fun expand(text: String): String = buildString {
    var count = 0
    for (c in text) {
        if (c.isDigit()) count = count * 10 + c.digitToInt()
        else { repeat(maxOf(count, 1)) { append(c) }; count = 0 }
    }
}

fun editDistance(a: String, b: String): Int {
    var row = IntArray(b.length + 1) { it }
    for (i in 1..a.length) {
        val next = IntArray(b.length + 1)
        next[0] = i
        for (j in 1..b.length) {
            next[j] = minOf(next[j - 1] + 1, row[j] + 1, row[j - 1] + if (a[i - 1] == b[j - 1]) 0 else 1)
        }
        row = next
    }
    return row[b.length]
}

fun strings() {
    val text = "the collector walks the graph from its roots and marks what it meets while the rest of the heap waits to be swept"
    for (line in wordWrap(text, 32)) println("  |${line.padEnd(32, '.')}|")
    val words = text.split(' ')
    println("words: ${words.groupingBy { it }.eachCount().entries.sortedWith(compareByDescending<Map.Entry<String, Int>> { it.value }.thenBy { it.key }).take(4)}")
    check("title", "The Collector Walks", words.take(3).joinToString(" ") { w -> w.replaceFirstChar { it.uppercase() } })
    check("reversed", "swept", text.reversed().substringBefore(' ').reversed())
    val sample = "aaabccddddddddddddef"
    check("run length", "3ab2c12def", runLength(sample))
    check("expanded", sample, expand(runLength(sample)))
    check("edit distance", 3, editDistance("kitten", "sitting"))
    check("replace", "b-n-n-", "banana".replace('a', '-'))
    check("trim", "[x]", "  \t x\n ".trim().let { "[$it]" })
    check("margin", "one\n  two", """
        |one
        |  two
    """.trimMargin())
    check("radix", "ff 377 11111111 zz", "${255.toString(16)} ${255.toString(8)} ${255.toString(2)} ${1295.toString(36)}")
    check("parse", 255 + 8 - 42L, "ff".toInt(16) + "10".toInt(8) + "-42".toLong())
    println("doubles: ${listOf(1.5, 0.1, 1e21, 1e-7, 123456789.125, Double.NaN, Double.NEGATIVE_INFINITY, Double.MIN_VALUE).joinToString(" ")}")
    check("double parse", 3.141592653589793, "3.141592653589793".toDouble())
    check("float", "0.33333334", (1f / 3f).toString())
    check("long", "-9223372036854775808", Long.MIN_VALUE.toString())
    check("unsigned", "18446744073709551615", ULong.MAX_VALUE.toString())
    check("unicode", "5 ΓΡΕΙΑ grüße", "${"γρεια".length} ${"γρεια".uppercase()} ${"GRÜSSE".lowercase().replace("ss", "ß")}")
    check("surrogates", "2 d83c df0d", "🌍".let { s -> "${s.length} ${s.map { it.code.toString(16) }.joinToString(" ")}" })
    check("utf8", listOf(-16, -97, -116, -115), "🌍".encodeToByteArray().map { it.toInt() })
    check("utf8 back", "κόσμε", "κόσμε".encodeToByteArray().decodeToString())
    check("compare", listOf("B", "a", "b", "é"), listOf("b", "é", "B", "a").sorted())
    check("ignoring case", true, "HEAP".equals("heap", ignoreCase = true))
    check("lines", 3, "a\nb\r\nc".lines().size)
    check("common", "inter", "interval".commonPrefixWith("internal"))
    val regex = Regex("""(\w+)=(\d+)""")
    check("regex", "alpha:1 beta:22 gamma:333", regex.findAll("alpha=1, beta=22; gamma=333").joinToString(" ") { "${it.groupValues[1]}:${it.groupValues[2]}" })
    check("regex replace", "<1>-<22>", "1-22".replace(Regex("\\d+")) { "<${it.value}>" })
    val builder = StringBuilder()
    for (i in 0 until 5000) {
        builder.append(i % 10)
        if (i % 7 == 0) builder.insert(builder.length / 2, 'x')
        if (i % 100 == 99) builder.deleteAt(builder.length / 3)
    }
    builder.reverse()
    println("builder: ${builder.length} ${builder.toString().hashCode()}")
}

// --- arrays and numbers --------------------------------------------------------------------------

fun arrays() {
    val rng = Lcg(3)
    val ints = IntArray(10_000) { rng.next() }
    val boxed = ints.toTypedArray()
    ints.sort()
    boxed.sort()
    check("sorted arrays", true, ints.indices.all { ints[it] == boxed[it] })
    println("ints: ${ints.contentHashCode()} ${ints.copyOfRange(10, 15).toList()}")
    val doubles = DoubleArray(1000) { ints[it * 10] / 7.0 }
    println("doubles: ${doubles.sum()} ${doubles.average()} ${doubles.max()}")
    val bytes = ByteArray(300) { (it * 7).toByte() }
    check("bytes", 300, bytes.size.also { println("bytes: ${bytes.contentHashCode()} ${bytes.count { b -> b < 0 }}") })
    val matrix = Array(20) { r -> LongArray(20) { c -> (r * 20 + c).toLong() } }
    val product = Array(20) { r -> LongArray(20) { c -> (0 until 20).sumOf { matrix[r][it] * matrix[it][c] } } }
    println("matrix: ${product.map { it.contentHashCode() }.let(::hash)} trace ${(0 until 20).sumOf { product[it][it] }}")
    check("deep", "[[1, 2], [3]]", arrayOf(intArrayOf(1, 2), intArrayOf(3)).contentDeepToString())
    val chars = CharArray(26) { 'a' + it }
    chars.reverse(5, 10)
    check("chars", "abcdejihgfklmnopqrstuvwxyz", chars.concatToString())
    val copy = ints.copyOf(5)
    copy.fill(9, 1, 3)
    ints.copyInto(copy, 3, 0, 2)
    check("copies", listOf(ints[0], 9, 9, ints[0], ints[1]), copy.toList())
    check("bits", "31 5 -8 536870911", "${Int.MAX_VALUE.countOneBits()} ${32.countTrailingZeroBits()} ${-8 shr 0} ${-8 ushr 3}")
    check("rotate", 0x34567812, 0x12345678.rotateLeft(8))
    check("progressions", "10 8 6 4 2", (10 downTo 1 step 2).joinToString(" "))
    check("coerce", listOf(3, 5, 7), listOf(1, 5, 9).map { it.coerceIn(3, 7) })
}

fun main() {
    lists()
    maps()
    sequences()
    strings()
    arrays()
    println(if (failures == 0) "ok" else "FAILED $failures")
}
