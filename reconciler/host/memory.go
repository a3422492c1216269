package host

// defaultMemory is what a machine that does not tell is taken to have, in bytes.
const defaultMemory = 8 << 30
