// Exceptions: try, catch and finally in every combination, custom hierarchies, rethrowing, throws
// that cross lambdas, virtual calls, sequences and deep recursion, and a loop that throws often.
// Every section prints what it computed; a wrong answer ends the program with "FAILED".

open class AppException(message: String, cause: Throwable? = null) : Exception(message, cause)
open class StorageException(val path: String, message: String) : AppException("$path: $message")
class NotFound(path: String) : StorageException(path, "not found")
class Denied(path: String, val level: Int) : StorageException(path, "denied at level $level")
class ParseError(val line: Int, cause: Throwable?) : AppException("line $line", cause)
class Signal(val payload: Int) : Throwable()

var failures = 0

fun check(name: String, expected: Any?, actual: Any?) {
    if (expected == actual) {
        println("$name: $actual")
    } else {
        failures++
        println("$name: WRONG, expected $expected, got $actual")
    }
}

// --- order of evaluation -------------------------------------------------------------------------

fun trail(fail: Int): String {
    val out = StringBuilder()
    try {
        out.append("a")
        try {
            out.append("b")
            if (fail == 1) throw IllegalStateException("one")
            out.append("c")
        } catch (e: IllegalStateException) {
            out.append("[${e.message}]")
            if (fail == 1) out.append("!")
        } finally {
            out.append("f")
            if (fail == 2) throw IllegalArgumentException("two")
        }
        out.append("d")
        if (fail == 3) throw AppException("three")
    } catch (e: RuntimeException) {
        out.append("<${e.message}>")
    } catch (e: AppException) {
        out.append("{${e.message}}")
    } finally {
        out.append("g")
    }
    return out.toString()
}

fun returnThroughFinally(log: MutableList<String>): Int {
    try {
        try {
            return 1
        } finally {
            log.add("inner")
        }
    } finally {
        log.add("outer")
    }
}

@Suppress("RETURN_IN_FINALLY")
fun finallyOverrides(): Int {
    try {
        throw NotFound("/swallowed")
    } finally {
        return 7
    }
}

fun loopControl(): String {
    val out = StringBuilder()
    outer@ for (i in 0 until 6) {
        for (j in 0 until 6) {
            try {
                if (j == 3) continue@outer
                if (i == 4) break@outer
                if ((i + j) % 4 == 2) throw Signal(i * 10 + j)
                out.append(i * j)
            } catch (s: Signal) {
                out.append("(").append(s.payload).append(")")
            } finally {
                out.append(if (j == 3) ";" else ",")
            }
        }
    }
    return out.toString()
}

fun asExpression(text: String): Int = try {
    text.toInt()
} catch (e: NumberFormatException) {
    -1
}

// --- hierarchies ---------------------------------------------------------------------------------

fun open(path: String): Int = when {
    path.startsWith("/missing") -> throw NotFound(path)
    path.startsWith("/root") -> throw Denied(path, path.length)
    path.startsWith("/bad") -> throw StorageException(path, "bad sector")
    path.isEmpty() -> throw IllegalArgumentException("empty path")
    path == "!" -> throw Signal(33)
    else -> path.length
}

fun classify(path: String): String = try {
    "size ${open(path)}"
} catch (e: NotFound) {
    "missing ${e.path}"
} catch (e: Denied) {
    "denied ${e.level}"
} catch (e: StorageException) {
    "storage ${e.message}"
} catch (e: Exception) {
    "other ${e.message}"
} catch (t: Throwable) {
    "throwable ${(t as Signal).payload}"
}

fun causes(depth: Int): ParseError =
    if (depth == 0) ParseError(0, null)
    else try {
        throw causes(depth - 1)
    } catch (e: ParseError) {
        ParseError(e.line + depth, e)
    }

// --- rethrow -------------------------------------------------------------------------------------

fun rethrowing(depth: Int, log: IntArray): Int {
    if (depth == 0) throw Signal(1000)
    try {
        return rethrowing(depth - 1, log) + 1
    } catch (s: Signal) {
        log[depth % log.size]++
        if (depth % 5 == 0) throw Signal(s.payload + depth)
        throw s
    } finally {
        log[0]++
    }
}

fun identityKept(): Boolean {
    val original = Denied("/same", 3)
    try {
        try {
            try {
                throw original
            } catch (e: StorageException) {
                throw e
            }
        } finally {
            check("finally before outer catch", 4, 2 + 2)
        }
    } catch (t: Throwable) {
        return t === original
    }
}

// --- frames of every sort ------------------------------------------------------------------------

interface Visitor { fun visit(n: Int): Int }
class Doubling : Visitor { override fun visit(n: Int) = n * 2 }
class Picky(val limit: Int) : Visitor {
    override fun visit(n: Int): Int = if (n > limit) throw Signal(n) else n
}

fun applyAll(visitors: List<Visitor>, n: Int): Int = visitors.fold(n) { acc, v -> v.visit(acc) }

inline fun <T> guarded(onFailure: (Throwable) -> T, body: () -> T): T =
    try { body() } catch (t: Throwable) { onFailure(t) }

fun throughLambdas(): Int {
    val steps: List<(Int) -> Int> = List(8) { k ->
        { x: Int -> if (x > 60) throw Signal(x + k) else x * 2 + k }
    }
    return guarded({ t -> -(t as Signal).payload }) { steps.fold(1) { acc, f -> f(acc) } }
}

fun throughSort(): String {
    var comparisons = 0
    return try {
        val sorted = listOf(5, 3, 9, 1, 7, 2, 8).sortedWith { a, b ->
            if (++comparisons == 6) throw Signal(a * 10 + b)
            a - b
        }
        "sorted $sorted"
    } catch (s: Signal) {
        "comparator threw after $comparisons"
    }
}

fun throughSequence(): Pair<Int, String> {
    var seen = 0
    val text = try {
        (1..100).asSequence().map { seen++; it * 3 }.filter { it % 2 == 0 }
            .onEach { if (it == 42) throw Signal(it) }.sum().toString()
    } catch (s: Signal) {
        "stopped at ${s.payload}"
    }
    return seen to text
}

class Resource(val id: Int, val log: StringBuilder) : AutoCloseable {
    override fun close() { log.append("-").append(id) }
}

fun resources(): String {
    val log = StringBuilder()
    val text = try {
        Resource(1, log).use { _ ->
            Resource(2, log).use { _ ->
                Resource(3, log).use { r -> throw AppException("used ${r.id}") }
            }
        }
    } catch (e: AppException) {
        e.message
    }
    return "$text$log"
}

// --- throws made by the library and the language ------------------------------------------------

fun libraryThrows(): List<String> {
    val any: Any = "text"
    val nothing: String? = if (failures >= 0) null else ""
    val attempts: List<Pair<String, () -> Any?>> = listOf(
        "cast" to { any as Int },
        "null" to { nothing!!.length },
        "element" to { emptyList<Int>().first() },
        "index" to { listOf(1, 2, 3)[failures + 3] },
        "key" to { mapOf("a" to 1).getValue("b") },
        "number" to { "12x".toInt() },
        "require" to { require(failures < 0) { "negative wanted" } },
        "state" to { check(failures < 0) { "state wanted" } },
        "error" to { error("plain") },
        "todo" to { TODO("later") },
        "iterator" to { listOf<Int>().iterator().next() },
        "modification" to { val l = mutableListOf(1, 2, 3); for (x in l) l.add(x); l },
        "single" to { listOf(1, 2).single() },
    )
    return attempts.map { (name, f) ->
        try {
            "$name gave ${f()}"
        } catch (t: Throwable) {
            "$name: ${t::class.simpleName}"
        }
    }
}

fun results(): String {
    val parsed = listOf("1", "two", "3", "", "5").map { text -> runCatching { text.toInt() } }
    val total = parsed.sumOf { it.getOrElse { -100 } }
    val bad = parsed.count { it.isFailure }
    val recovered = parsed[1].recover { 22 }.getOrThrow()
    return "$total $bad $recovered"
}

// --- depth and number ----------------------------------------------------------------------------

class Node(val value: Int, val next: Node?)

/** Unwinds through many frames, each of which holds a live object that its handler still uses. */
fun deep(depth: Int, held: Node?): Int {
    val mine = Node(depth, held)
    if (depth == 0) throw Signal(mine.next?.value ?: 0)
    return try {
        deep(depth - 1, mine) + mine.value
    } finally {
        if (mine.value != depth || mine.next !== held) failures++
    }
}

fun many(count: Int): Long {
    var sum = 0L
    var x = 12345
    for (i in 0 until count) {
        x = x * 1103515245 + 12345
        val k = (x ushr 16) and 7
        sum += try {
            when (k) {
                0 -> throw NotFound("/$i")
                1 -> throw Denied("/", i and 15)
                2 -> throw Signal(i)
                3 -> throw ArithmeticException("three")
                else -> k.toLong()
            }
        } catch (e: NotFound) {
            e.path.length.toLong()
        } catch (e: StorageException) {
            (e as Denied).level.toLong() * 2
        } catch (s: Signal) {
            s.payload.toLong() and 255
        } catch (e: RuntimeException) {
            3L
        }
    }
    return sum
}

fun suppressedText(): String {
    val main = AppException("main", NotFound("/cause"))
    main.addSuppressed(Signal(1))
    main.addSuppressed(IllegalStateException("second"))
    return "${main.message} <- ${main.cause?.message} + ${main.suppressedExceptions.size} ${main.suppressedExceptions[1].message}"
}

fun main() {
    for (fail in 0..3) println("trail $fail: ${trail(fail)}")
    val log = mutableListOf<String>()
    check("return through finally", "1 [inner, outer]", "${returnThroughFinally(log)} $log")
    check("finally overrides", 7, finallyOverrides())
    println("loop control: ${loopControl()}")
    check("as expression", 40, asExpression("42") + asExpression("x") + asExpression(""))
    for (path in listOf("/ok", "/missing/a", "/root/b", "/bad", "", "!")) println("classify '$path': ${classify(path)}")

    val chain = generateSequence<Throwable>(causes(9)) { it.cause }.toList()
    check("cause chain", "10 45", "${chain.size} ${(chain.first() as ParseError).line}")

    val counts = IntArray(7)
    val thrown = try {
        rethrowing(40, counts)
    } catch (s: Signal) {
        s.payload
    }
    check("rethrown payload", 1000 + 5 + 10 + 15 + 20 + 25 + 30 + 35 + 40, thrown)
    println("rethrow counts: ${counts.toList()}")
    check("identity kept", true, identityKept())

    check("virtual, no throw", 16, applyAll(listOf(Doubling(), Picky(100), Doubling(), Doubling()), 2))
    check("virtual, throw", 24, try { applyAll(listOf(Doubling(), Doubling(), Picky(20), Doubling()), 6) } catch (s: Signal) { s.payload })
    check("lambdas", -127, throughLambdas())
    check("sort", "comparator threw after 6", throughSort())
    check("sequence", Pair(14, "stopped at 42"), throughSequence())
    check("resources", "used 3-3-2-1", resources())
    for (line in libraryThrows()) println("library: $line")
    check("results", "-191 2 22", results())
    println("suppressed: ${suppressedText()}")

    val unwound = try {
        deep(2000, null)
    } catch (s: Signal) {
        s.payload
    }
    check("deep unwinding", 1, unwound)
    println("many throws: ${many(200_000)}")

    println(if (failures == 0) "ok" else "FAILED $failures")
}
