// Coroutines with nothing but kotlin.coroutines: a cooperative scheduler with tasks, channels,
// deferred values and cancellation is built here; generators, suspended recursion, exceptions and
// finally blocks that cross suspension points run on it.

import kotlin.coroutines.*
import kotlin.coroutines.intrinsics.*

var failures = 0

fun check(name: String, expected: Any?, actual: Any?) {
    if (expected == actual) {
        println("$name: $actual")
    } else {
        failures++
        println("$name: WRONG, expected $expected, got $actual")
    }
}

// --- a scheduler ---------------------------------------------------------------------------------

class Scheduler : AbstractCoroutineContextElement(ContinuationInterceptor), ContinuationInterceptor {
    private val ready = ArrayDeque<() -> Unit>()
    var steps = 0
        private set

    override fun <T> interceptContinuation(continuation: Continuation<T>): Continuation<T> =
        Posted(this, continuation)

    fun post(action: () -> Unit) = ready.addLast(action)

    fun run() {
        while (true) {
            val action = ready.removeFirstOrNull() ?: return
            steps++
            action()
        }
    }

    private class Posted<T>(val scheduler: Scheduler, val target: Continuation<T>) : Continuation<T> {
        override val context get() = target.context
        override fun resumeWith(result: Result<T>) = scheduler.post { target.resumeWith(result) }
    }
}

class TaskName(val name: String) : AbstractCoroutineContextElement(Key) {
    companion object Key : CoroutineContext.Key<TaskName>
}

class Cancelled(val who: String) : Exception("$who was cancelled")

class Task<T>(val name: String) : Continuation<T> {
    override lateinit var context: CoroutineContext
    private var outcome: Result<T>? = null
    private val waiters = ArrayList<Continuation<T>>()
    var cancelled = false

    val isDone get() = outcome != null

    override fun resumeWith(result: Result<T>) {
        outcome = result
        for (w in waiters) w.resumeWith(result)
        waiters.clear()
    }

    suspend fun await(): T {
        outcome?.let { return it.getOrThrow() }
        return suspendCoroutine { waiters.add(it) }
    }
}

class CurrentTask(val task: Task<*>) : AbstractCoroutineContextElement(Key) {
    companion object Key : CoroutineContext.Key<CurrentTask>
}

fun <T> Scheduler.launch(name: String, body: suspend () -> T): Task<T> {
    val task = Task<T>(name)
    task.context = this + TaskName(name) + CurrentTask(task)
    body.startCoroutine(task)
    return task
}

/** Goes to the end of the scheduler's queue. */
suspend fun pause() {
    suspendCoroutineUninterceptedOrReturn<Unit> { it.intercepted().resume(Unit); COROUTINE_SUSPENDED }
    val task = coroutineContext[CurrentTask]?.task
    if (task != null && task.cancelled) throw Cancelled(task.name)
}

suspend fun here(): String = coroutineContext[TaskName]?.name ?: "nowhere"

class Channel<T>(private val capacity: Int) {
    private val items = ArrayDeque<T>()
    private val senders = ArrayDeque<Pair<T, Continuation<Unit>>>()
    private val receivers = ArrayDeque<Continuation<T?>>()
    private var closed = false

    suspend fun send(item: T) {
        receivers.removeFirstOrNull()?.let { it.resume(item); return }
        if (items.size < capacity) { items.addLast(item); return }
        suspendCoroutine<Unit> { senders.addLast(item to it) }
    }

    /** The next item; null once the channel is closed and empty. */
    suspend fun receive(): T? {
        items.removeFirstOrNull()?.let { item ->
            senders.removeFirstOrNull()?.let { (next, sender) -> items.addLast(next); sender.resume(Unit) }
            return item
        }
        senders.removeFirstOrNull()?.let { (item, sender) -> sender.resume(Unit); return item }
        if (closed) return null
        return suspendCoroutine { receivers.addLast(it) }
    }

    fun close() {
        closed = true
        while (true) (receivers.removeFirstOrNull() ?: break).resume(null)
    }
}

// --- tasks ---------------------------------------------------------------------------------------

fun pipeline() {
    val scheduler = Scheduler()
    val numbers = Channel<Int>(4)
    val squares = Channel<Pair<String, Long>>(2)
    var workersLeft = 3
    scheduler.launch("source") {
        for (i in 1..3000) numbers.send(i)
        numbers.close()
    }
    for (w in 1..3) scheduler.launch("worker $w") {
        while (true) {
            val n = numbers.receive() ?: break
            if (n % 7 == w) pause()
            squares.send(here() to n.toLong() * n)
        }
        if (--workersLeft == 0) squares.close()
    }
    val sink = scheduler.launch("sink") {
        val perWorker = HashMap<String, Int>()
        var sum = 0L
        while (true) {
            val (who, square) = squares.receive() ?: break
            perWorker[who] = (perWorker[who] ?: 0) + 1
            sum += square
        }
        check("pipeline items", 3000, perWorker.values.sum())
        println("pipeline shares: ${perWorker.entries.sortedBy { it.key }.map { "${it.key} ${it.value}" }}")
        sum
    }
    var result = 0L
    scheduler.launch("check") { result = sink.await() }
    scheduler.run()
    check("pipeline sum", (1L..3000L).sumOf { it * it }, result)
    println("pipeline steps: ${scheduler.steps}")
}

fun fanOut() {
    val scheduler = Scheduler()
    val log = StringBuilder()
    val total = scheduler.launch("total") {
        val tasks = List(10) { i ->
            scheduler.launch("part $i") {
                var acc = 0
                for (k in 0..i) { acc += k; pause() }
                log.append(i)
                acc
            }
        }
        tasks.sumOf { it.await() }
    }
    var seen = -1
    scheduler.launch("observer") { seen = total.await() }
    scheduler.run()
    check("fan out", 165, seen)
    check("fan out order", "0123456789", log.toString())
}

suspend fun fibonacci(n: Int, scheduler: Scheduler): Int {
    if (n < 2) return n
    if (n % 5 == 0) pause()
    val left = scheduler.launch("fib") { fibonacci(n - 1, scheduler) }
    val right = fibonacci(n - 2, scheduler)
    return left.await() + right
}

fun failing() {
    val scheduler = Scheduler()
    val log = ArrayList<String>()
    suspend fun risky(depth: Int): Int {
        try {
            pause()
            if (depth == 0) throw IllegalStateException("bottom")
            return risky(depth - 1) + 1
        } catch (e: IllegalStateException) {
            pause()
            if (depth == 3) return 30
            throw IllegalStateException("${e.message}<$depth", e)
        } finally {
            pause()
            log.add("f$depth")
        }
    }
    val task = scheduler.launch("risky") { risky(6) }
    val broken = scheduler.launch<Int>("broken") { pause(); throw UnsupportedOperationException("broken") }
    val victim: Task<Int> = scheduler.launch("victim") {
        var n = 0
        try {
            while (n < 1_000_000) { n++; pause() }
            n
        } catch (e: Cancelled) {
            log.add("${e.message} after $n")
            -n
        } finally {
            log.add("victim done")
        }
    }
    var texts = emptyList<String>()
    scheduler.launch("judge") {
        repeat(5) { pause() }
        victim.cancelled = true
        val a = task.await()
        val b = runCatching { broken.await() }.exceptionOrNull()?.message
        val c = runCatching { victim.await() }.getOrNull()
        texts = listOf("$a", "$b", "${c!! < 0}")
    }
    scheduler.run()
    check("failing", listOf("33", "broken", "true"), texts)
    println("failing log: $log")
}

// --- generators ----------------------------------------------------------------------------------

class Tree(val left: Tree?, val value: Int, val right: Tree?)

fun tree(from: Int, to: Int): Tree? {
    if (from > to) return null
    val mid = (from + to) / 2
    return Tree(tree(from, mid - 1), mid, tree(mid + 1, to))
}

fun inOrder(t: Tree?): Sequence<Int> = sequence {
    if (t != null) {
        yieldAll(inOrder(t.left))
        yield(t.value)
        yieldAll(inOrder(t.right))
    }
}

fun permutations(items: List<Int>): Sequence<List<Int>> = sequence {
    if (items.isEmpty()) yield(emptyList())
    for (i in items.indices) {
        val rest = items.filterIndexed { k, _ -> k != i }
        for (tail in permutations(rest)) yield(listOf(items[i]) + tail)
    }
}

fun queens(n: Int): Sequence<IntArray> = sequence {
    val columns = IntArray(n)
    suspend fun SequenceScope<IntArray>.place(row: Int) {
        if (row == n) { yield(columns.copyOf()); return }
        for (c in 0 until n) {
            if ((0 until row).none { columns[it] == c || columns[it] - c == row - it || c - columns[it] == row - it }) {
                columns[row] = c
                place(row + 1)
            }
        }
    }
    place(0)
}

fun generators() {
    check("tree", true, inOrder(tree(1, 1000)).toList() == (1..1000).toList())
    check("same fringe", true, inOrder(tree(1, 300)).zip(inOrder(Tree(tree(1, 10), 11, tree(12, 300)))).all { (a, b) -> a == b })
    check("permutations", 5040, permutations((1..7).toList()).onEachIndexed { i, p -> if (i % 1000 == 0) println("  $p") }.count())
    check("queens", 92, queens(8).count())
    println("first queens: ${queens(8).first().toList()}")
    val interleaved = iterator {
        val sources = mutableListOf(iterator { for (c in "abc") yield(c) }, iterator { yieldAll("12345".asIterable()) })
        while (sources.isNotEmpty()) {
            val source = sources.removeAt(0)
            if (source.hasNext()) {
                yield(source.next())
                sources.add(source)
            }
        }
    }
    check("interleaved", "a1b2c345", interleaved.asSequence().joinToString(""))
    val unfinished = sequence {
        try {
            yield(1)
            yield(2)
            throw IllegalArgumentException("inside")
        } finally {
            println("generator unwound")
        }
    }.iterator()
    check("generator throws", "1 2 inside", "${unfinished.next()} ${unfinished.next()} ${runCatching { unfinished.next() }.exceptionOrNull()?.message}")
}

// --- the bare machinery --------------------------------------------------------------------------

/** A two-way generator: each yield hands out a value and takes one back. */
class Dialogue<I, O>(body: suspend Dialogue<I, O>.(I) -> Unit) {
    private var resume: Continuation<I>? = null
    private var out: Result<O>? = null
    private var start: ((I) -> Unit)? = { first ->
        val block: suspend Dialogue<I, O>.() -> Unit = { body(first) }
        block.startCoroutine(this, Continuation(EmptyCoroutineContext) { r -> done = true; r.getOrThrow() })
    }
    var done = false
        private set

    suspend fun ask(value: O): I = suspendCoroutineUninterceptedOrReturn { c ->
        out = Result.success(value)
        resume = c
        COROUTINE_SUSPENDED
    }

    fun tell(value: I): O? {
        out = null
        val s = start
        if (s != null) { start = null; s(value) }
        else { val c = resume ?: return null; resume = null; c.resume(value) }
        return out?.getOrThrow()
    }
}

fun machinery() {
    val average = Dialogue<Double, Double> { first ->
        var sum = first
        var n = 1
        while (n < 6) {
            sum += ask(sum / n)
            n++
        }
    }
    check("dialogue", listOf(10.0, 15.0, 20.0, 25.0, 30.0, null), (1..6).map { average.tell(it * 10.0) })
    check("dialogue done", true, average.done)

    val order = StringBuilder()
    val body: suspend () -> String = {
        order.append("a")
        val x = suspendCoroutineUninterceptedOrReturn<Int> { order.append("b"); 5 } // returns at once
        order.append(x)
        "end"
    }
    val created = body.createCoroutine(Continuation(EmptyCoroutineContext) { order.append(it.getOrThrow()) })
    order.append("0")
    created.resume(Unit)
    check("created", "0ab5end", order.toString())

    val ackermann = DeepRecursiveFunction<Pair<Int, Int>, Int> { (m, n) ->
        when {
            m == 0 -> n + 1
            n == 0 -> callRecursive(m - 1 to 1)
            else -> callRecursive(m - 1 to callRecursive(m to n - 1))
        }
    }
    check("deep recursion", 125, ackermann(3 to 4))
    val depth = DeepRecursiveFunction<Int, Int> { n -> if (n == 0) 0 else callRecursive(n - 1) + 1 }
    check("deep chain", 100_000, depth(100_000))
}

fun main() {
    pipeline()
    fanOut()
    val scheduler = Scheduler()
    var fib = 0
    scheduler.launch("root") { fib = fibonacci(18, scheduler) }
    scheduler.run()
    check("fibonacci", 2584, fib)
    println("fibonacci steps: ${scheduler.steps}")
    failing()
    generators()
    machinery()
    println(if (failures == 0) "ok" else "FAILED $failures")
}
