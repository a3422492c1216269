package com.example;

import java.util.List;

/**
 * A shop.
 */
public class Shop {
    private final List<String> orders;

    public Shop(List<String> orders) {
        this.orders = orders;
    }

    /** Counts the orders that are open, and those that are not. */
    @Override
    public int count(String name) {
        if (name == null) {
            return 0;
        }
        return orders.size();
    }

    static <T> T first(List<T> all) {
        return all.get(0);
    }
}
