// Classes: virtual and interface dispatch, abstract classes, default methods, generics with bounds
// and variance, data and value classes, sealed hierarchies with when, enums with bodies, objects,
// delegation, operators, inner classes, casts that succeed and casts that fail.

import kotlin.properties.Delegates
import kotlin.reflect.KProperty

var failures = 0

fun check(name: String, expected: Any?, actual: Any?) {
    if (expected == actual) {
        println("$name: $actual")
    } else {
        failures++
        println("$name: WRONG, expected $expected, got $actual")
    }
}

// --- virtual and interface dispatch --------------------------------------------------------------

interface Named { val name: String get() = "unnamed" }
interface Scored { fun score(x: Int): Int }
interface Resettable { fun reset() }

abstract class Shape : Named, Scored {
    abstract fun area(): Long
    open fun describe() = "$name of area ${area()}"
    override fun score(x: Int) = (area() % 1000).toInt() + x
}

open class Rectangle(val w: Long, val h: Long) : Shape() {
    override val name get() = "rectangle"
    override fun area() = w * h
}

class Square(side: Long) : Rectangle(side, side) {
    override val name get() = "square"
    override fun describe() = super.describe() + "!"
}

class Triangle(val base: Long, val height: Long) : Shape() {
    override fun area() = base * height / 2
    override fun score(x: Int) = super.score(x) * 2
}

class Group(private val parts: List<Shape>) : Shape(), Resettable {
    private var asked = 0
    override val name get() = "group of ${parts.size}"
    override fun area(): Long { asked++; return parts.sumOf { it.area() } }
    override fun reset() { asked = 0 }
    override fun toString() = "asked $asked"
}

fun dispatch() {
    val shapes = List(200) { i ->
        when (i % 4) {
            0 -> Rectangle(i + 1L, 3)
            1 -> Square(i.toLong())
            2 -> Triangle(i + 2L, 4)
            else -> Group(listOf(Square(2), Triangle(i.toLong(), 2)))
        }
    }
    for (i in 0..3) println("  ${shapes[i + 8].describe()}")
    var total = 0L
    for (round in 0 until 2000) for (s in shapes) total = (total * 3 + s.score(round)) and 0xffffffffffffL
    println("megamorphic: $total")
    val scored: List<Scored> = shapes + List(20) { k -> object : Scored { override fun score(x: Int) = x * k } }
    check("interfaces", scored.indices.sumOf { if (it < 200) shapes[it].score(7) else 7 * (it - 200) }, scored.sumOf { it.score(7) })
    val resettable = shapes.filterIsInstance<Resettable>()
    resettable.forEach { it.reset() }
    check("resettable", "50 asked 0", "${resettable.size} ${resettable.last()}")
    check("default", "unnamed", (shapes[2] as Named).name)
}

// --- sealed hierarchies, when ---------------------------------------------------------------------

sealed interface Expr
data class Num(val value: Long) : Expr
data class Var(val name: String) : Expr
sealed class Binary : Expr { abstract val left: Expr; abstract val right: Expr }
data class Add(override val left: Expr, override val right: Expr) : Binary()
data class Mul(override val left: Expr, override val right: Expr) : Binary()
data class Let(val name: String, val value: Expr, val body: Expr) : Expr
data object Unknown : Expr

fun eval(e: Expr, env: Map<String, Long>): Long = when (e) {
    is Num -> e.value
    is Var -> env[e.name] ?: error("unbound ${e.name}")
    is Add -> eval(e.left, env) + eval(e.right, env)
    is Mul -> eval(e.left, env) * eval(e.right, env)
    is Let -> eval(e.body, env + (e.name to eval(e.value, env)))
    Unknown -> 0
}

fun simplify(e: Expr): Expr = when (e) {
    is Add -> {
        val l = simplify(e.left)
        val r = simplify(e.right)
        if (l is Num && r is Num) Num(l.value + r.value)
        else if (l == Num(0)) r
        else if (r == Num(0)) l
        else Add(l, r)
    }
    is Mul -> {
        val l = simplify(e.left)
        val r = simplify(e.right)
        when {
            l is Num && r is Num -> Num(l.value * r.value)
            l == Num(0) || r == Num(0) -> Num(0)
            l == Num(1) -> r
            r == Num(1) -> l
            else -> Mul(l, r)
        }
    }
    is Let -> e.copy(value = simplify(e.value), body = simplify(e.body))
    else -> e
}

fun derive(e: Expr, x: String): Expr = when (e) {
    is Num, Unknown -> Num(0)
    is Var -> Num(if (e.name == x) 1 else 0)
    is Binary -> when (e) {
        is Add -> Add(derive(e.left, x), derive(e.right, x))
        is Mul -> Add(Mul(derive(e.left, x), e.right), Mul(e.left, derive(e.right, x)))
    }
    is Let -> error("no derivative of let")
}

fun size(e: Expr): Int = when (e) {
    is Binary -> 1 + size(e.left) + size(e.right)
    is Let -> 1 + size(e.value) + size(e.body)
    else -> 1
}

fun show(e: Expr): String = when (e) {
    is Num -> "${e.value}"
    is Var -> e.name
    is Add -> "(${show(e.left)} + ${show(e.right)})"
    is Mul -> "${show(e.left)}*${show(e.right)}"
    is Let -> "let ${e.name} = ${show(e.value)} in ${show(e.body)}"
    Unknown -> "?"
}

fun expressions() {
    val x = Var("x")
    var e: Expr = Num(1)
    for (i in 1..12) e = Add(Mul(e, x), Num(i.toLong() % 3)) // Horner
    val env = mapOf("x" to 3L)
    val d = derive(e, "x")
    val s = simplify(d)
    println("derivative: ${size(d)} nodes, simplified ${size(s)}")
    check("same value", eval(d, env), eval(s, env))
    val h = 1L
    check("plausible slope", true, eval(e, mapOf("x" to 3 + h)) - eval(e, env) > eval(d, env))
    println(show(simplify(derive(derive(Mul(x, Mul(x, x)), "x"), "x"))))
    check("let", 42L, eval(Let("y", Num(6), Mul(Var("y"), Let("y", Num(7), Var("y")))), emptyMap()))
    check("data equality", true, s == simplify(derive(e, "x")) && s.hashCode() == simplify(d).hashCode() && s !== simplify(d))
    check("data text", "Let(name=a, value=Num(value=1), body=Unknown)", Let("a", Num(1), Unknown).toString())
    val (name, value) = Let("b", Num(2), x)
    check("destructured", "b Num(value=2)", "$name $value")
}

fun kind(x: Any?): String = when (x) {
    null -> "null"
    is Boolean -> "boolean $x"
    in listOf(1, 2, 3) -> "small"
    is Int -> if (x < 0) "negative" else "int"
    is Long, is Short, is Byte -> "integer"
    is Double -> "double ${x.toInt()}"
    is Char -> "char ${x.code}"
    is String -> "string of ${x.length}"
    is IntArray -> "ints ${x.sum()}"
    is Array<*> -> "array of ${x.size}"
    is List<*> -> "list of ${x.joinToString("") { kind(it).take(1) }}"
    is Map<*, *> -> "map of ${x.size}"
    is Function<*> -> "function"
    is Named -> "named ${x.name}"
    is Enum<*> -> "enum ${x.ordinal}"
    is Comparable<*> -> "comparable"
    else -> "something"
}

fun kinds() {
    val things = listOf(
        null, true, 2, -7, 99, 5L, 5.toByte(), 2.5, 'x', "four", intArrayOf(1, 2, 3), arrayOf("a"), listOf(1, "b", null),
        mapOf(1 to 2), { 1 }, Square(2), Planet.MARS, Version(1, 2), Any()
    )
    for (t in things) println("  ${kind(t)}")
    var n = 0
    for (round in 0 until 3000) for (t in things) n += kind(t).length
    println("kinds: $n")
}

// --- generics -------------------------------------------------------------------------------------

data class Version(val major: Int, val minor: Int) : Comparable<Version> {
    override fun compareTo(other: Version) = compareValuesBy(this, other, Version::major, Version::minor)
}

sealed class Tree<out T> {
    data object Empty : Tree<Nothing>()
    class Node<T>(val left: Tree<T>, val value: T, val right: Tree<T>) : Tree<T>()
}

fun <T : Comparable<T>> Tree<T>.insert(x: T): Tree<T> = when (this) {
    is Tree.Empty -> Tree.Node(this, x, this)
    is Tree.Node -> when {
        x < value -> Tree.Node(left.insert(x), value, right)
        x > value -> Tree.Node(left, value, right.insert(x))
        else -> this
    }
}

fun <T> Tree<T>.forEach(f: (T) -> Unit) {
    if (this is Tree.Node) { left.forEach(f); f(value); right.forEach(f) }
}

fun <A, B> Tree<A>.map(f: (A) -> B): Tree<B> = when (this) {
    is Tree.Empty -> this
    is Tree.Node -> Tree.Node(left.map(f), f(value), right.map(f))
}

class Stack<T> : Iterable<T> {
    private var items = arrayOfNulls<Any?>(2)
    private var size = 0
    fun push(x: T) {
        if (size == items.size) items = items.copyOf(size * 2)
        items[size++] = x
    }
    @Suppress("UNCHECKED_CAST")
    fun pop(): T = (items[--size] as T).also { items[size] = null }
    override fun iterator() = object : Iterator<T> {
        private var at = size
        override fun hasNext() = at > 0
        @Suppress("UNCHECKED_CAST")
        override fun next() = items[--at] as T
    }
}

inline fun <reified T> Iterable<*>.countOf(): Int = count { it is T }
fun <T> maxOfAll(items: List<T>) where T : Comparable<T>, T : Any = items.reduce { a, b -> if (a >= b) a else b }

fun generics() {
    var versions: Tree<Version> = Tree.Empty
    var seed = 1
    repeat(3000) {
        seed = seed * 1103515245 + 12345
        versions = versions.insert(Version((seed ushr 16) % 40, (seed ushr 8 and 0xff) % 50))
    }
    var n = 0
    var last: Version? = null
    versions.forEach { v ->
        if (last != null && last!! >= v) failures++
        last = v
        n++
    }
    println("versions: $n, last $last")
    var sum = 0
    versions.map { it.major * 100 + it.minor }.forEach { sum += it }
    println("mapped: $sum")
    val stack = Stack<Any?>()
    for (i in 0 until 50) stack.push(if (i % 3 == 0) i else if (i % 3 == 1) "$i" else null)
    repeat(5) { stack.pop() }
    check("stack", "15 15 15 44", "${stack.countOf<Int>()} ${stack.countOf<String>()} ${stack.count { it == null }} ${stack.toList().size - 1}")
    check("bounds", Version(3, 1), maxOfAll(listOf(Version(2, 9), Version(3, 1), Version(3, 0))))
}

// --- enums, objects, value classes, delegation, operators -----------------------------------------

enum class Planet(val mass: Double) {
    MERCURY(0.055) { override fun greet() = "hot" },
    EARTH(1.0) { override fun greet() = "home" },
    MARS(0.107) { override fun greet() = "red ${mass > 0.1}" };

    abstract fun greet(): String
    companion object { val heaviest = entries.maxBy { it.mass } }
}

value class Meters(val n: Int) : Comparable<Meters> {
    operator fun plus(o: Meters) = Meters(n + o.n)
    override fun compareTo(other: Meters) = n - other.n
    override fun toString() = "${n}m"
}

object Registry {
    private val seen = mutableListOf<String>()
    init { seen.add("made") }
    fun add(s: String): Registry { seen.add(s); return this }
    override fun toString() = seen.joinToString("/")
}

class Loud(private val inner: Scored) : Scored by inner, Named { override val name = "loud" }

class Clamped(private var value: Int) {
    operator fun getValue(owner: Any?, p: KProperty<*>) = value
    operator fun setValue(owner: Any?, p: KProperty<*>, v: Int) { value = if (v > 100) 100 else v }
}

class Settings {
    var volume by Clamped(5)
    val expensive by lazy { computed++; "computed" }
    var observed: Int by Delegates.observable(0) { p, old, new -> log.append("${p.name} $old>$new ") }
    val log = StringBuilder()
    companion object { var computed = 0 }
}

class Matrix(val rows: Int, val cols: Int) {
    private val cells = IntArray(rows * cols)
    operator fun get(r: Int, c: Int) = cells[r * cols + c]
    operator fun set(r: Int, c: Int, v: Int) { cells[r * cols + c] = v }
    operator fun times(o: Matrix) = Matrix(rows, o.cols).also { m ->
        for (r in 0 until rows) for (c in 0 until o.cols) {
            var s = 0
            for (k in 0 until cols) s += this[r, k] * o[k, c]
            m[r, c] = s
        }
    }
    inner class Row(val r: Int) { fun sum() = (0 until cols).sumOf { this@Matrix[r, it] } }
    operator fun contains(v: Int) = cells.any { it == v }
}

fun features() {
    println("planets: ${Planet.entries.map { "${it.name.lowercase()} ${it.greet()}" }} ${Planet.heaviest}")
    val distances: List<Meters> = listOf(Meters(5), Meters(3)) + (Meters(1) + Meters(9))
    check("value classes", "10m [3m, 5m, 10m]", "${distances.max()} ${distances.sorted()}")
    check("object", "made/a/b", Registry.add("a").add("b").toString())
    val loud = Loud(Square(12))
    check("delegation", "loud 151", "${loud.name} ${loud.score(7)}")
    val settings = Settings()
    settings.volume = 300
    settings.observed = 4
    settings.observed = 9
    check("properties", "100 computed computed 1 observed 0>4 observed 4>9", "${settings.volume} ${settings.expensive} ${settings.expensive} ${Settings.computed} ${settings.log.trim()}")
    val fib = Matrix(2, 2).also { it[0, 0] = 1; it[0, 1] = 1; it[1, 0] = 1 }
    var power = fib
    repeat(20) { power *= fib }
    check("matrix", "17711 28657 true", "${power[0, 0]} ${power.Row(0).sum()} ${10946 in power}")
    val casts = listOf<() -> Any?>({ (Any() as? String) }, { (loud as Any) as Named }, { listOf(1) as List<*> }, { (Planet.EARTH as Any) as Shape })
    println("casts: ${casts.map { f -> try { val r = f(); if (r == null) "null" else "fine" } catch (e: ClassCastException) { "refused" } }}")
    val references = listOf(Square::area, Square::w)
    check("references", 32L, references.sumOf { it(Square(4)) } + Square::class.simpleName!!.length + ::Square.let { make -> make(2).h } * 3)
}

fun main() {
    dispatch()
    expressions()
    kinds()
    generics()
    features()
    println(if (failures == 0) "ok" else "FAILED $failures")
}
