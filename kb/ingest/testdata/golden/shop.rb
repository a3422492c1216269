# A shop.
class Shop
  def initialize(orders)
    @orders = orders
  end

  def total
    @orders.sum
  end
end
