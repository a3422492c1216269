-- What customers bought.
CREATE TABLE orders (
  id    bigint PRIMARY KEY,
  total integer NOT NULL
);

CREATE INDEX orders_total
  ON orders (total)
  WHERE total > 0;
