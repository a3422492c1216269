import { Router } from "express";

/** What a customer buys. */
export interface Order {
  id: string;
  total: number;
}

export const router = Router();

// Adds an order.
export const addOrder = async (order: Order) => {
  if (order.total < 0) {
    throw new Error("negative");
  }
  return order;
};

export class Store {
  private orders: Order[] = [];

  add(order: Order) {
    this.orders.push(order);
  }

  static async open(url: string): Promise<Store> {
    // The database may take a while until it answers.
    await connect(url);
    return new Store();
  }

  total(): number {
    return this.orders.reduce((sum, order) => sum + order.total, 0);
  }
}
