// The smallest useful program: what a Kotlin module costs before it does anything.

fun main() {
    println("Hello, world!")
    val names = listOf("ada", "grace", "barbara")
    println("${names.size} names, first ${names.first()}")
    println("Grüße, κόσμε, 世界, 🌍")
    println("ok")
}
