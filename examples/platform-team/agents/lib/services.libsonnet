// The services of the shop: what differs between their on-call agents, and nothing else. A new service is one entry here.
{
  catalog: {
    what: 'the list of books, and the search over it',
    customers: 'nobody finds a book',
  },
  checkout: {
    what: 'the basket and the payment',
    customers: 'nobody can pay',
    // Money: looked at more closely, and every morning.
    depth: 'thorough',
    morning: true,
  },
  frontend: {
    what: 'the pages that customers see',
    customers: 'the shop is down',
    // It keeps sessions in memory, so a restart signs people out.
    minReady: 3,
  },
}
