package com.example

data class Order(
    val id: String,
    val total: Int,
)

/** Sells. */
fun sell(order: Order): Boolean {
    return order.total > 0
}
