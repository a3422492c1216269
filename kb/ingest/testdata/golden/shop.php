<?php
namespace Example;

/** A shop. */
final class Shop
{
    public function count(): int
    {
        return 0;
    }
}
