"""A venue and its people, as far as senders of presence see them: who is where, with which device. Everything
is invented, and follows from the seed and the clock alone. Knows no wire format (senders.py) and no network."""
import math


class Ap:
    def __init__(self, mac, name, x, y):
        self.mac, self.name, self.x, self.y = mac, name, x, y


class Place:
    """A floor of width x height metres with its access points; lat and lng of its south-western corner."""

    def __init__(self, name, sort, size, origin, aps, map_id):
        self.name, self.sort, (self.width, self.height), self.origin = name, sort, size, origin
        self.aps = [Ap(*ap) for ap in aps]
        self.map_id = map_id

    def nearest(self, x, y):
        return min(self.aps, key=lambda ap: math.hypot(ap.x - x, ap.y - y))

    def lat_lng(self, x, y):
        """Metres to degrees, near enough for a building."""
        lat, lng = self.origin
        return lat + y / 111320, lng + x / (111320 * math.cos(math.radians(lat)))


PLACES = [
    Place("Lobby", "aerohive", (48, 30), (51.50802, -0.07590),
          [("3A1E6D8C7850", "lobby-door", 6, 15), ("3A1E6D8C7860", "lobby-desk", 24, 24),
           ("3A1E6D8C7870", "lobby-bar", 42, 8)], "lobby"),
    Place("Quay market", "meraki", (80, 40), (51.50850, -0.07510),
          [("00:18:0a:5c:00:01", "market-west", 12, 20), ("00:18:0a:5c:00:02", "market-hall", 40, 30),
           ("00:18:0a:5c:00:03", "market-east", 68, 12)], "g_7"),
    Place("Museum", "mist", (36, 36), (51.50790, -0.07450),
          [("5c5b35000001", "museum-1", 9, 18), ("5c5b35000002", "museum-2", 28, 20)],
          "a0b1c2d3-0000-4000-8000-00000000000a"),
]
# The museum's zones: name, id, west, south, east, north.
ZONES = [("Entrance", "4d1f0001-0000-4000-8000-000000000001", 0, 0, 12, 36),
         ("Ships", "4d1f0002-0000-4000-8000-000000000002", 12, 0, 36, 18),
         ("Maps", "4d1f0003-0000-4000-8000-000000000003", 12, 18, 36, 36)]

# Manufacturer, system, first three octets: what a device that shows its own address looks like.
DEVICES = [("Apple", "ios", "dcac3d"), ("Samsung", "android", "5cb901"), ("Fairphone", "android", "3c2ef9"),
           ("Google", "android", "f4f5d8"), ("Lenovo", "windows", "8c1645")]
NAMES = ["Ada", "Bram", "Chidi", "Dora", "Emre", "Fatima", "Goran", "Hana", "Ines", "Jonas", "Kofi", "Lena",
         "Mara", "Nils", "Olu", "Petra", "Quinn", "Rosa", "Sven", "Tara", "Uma", "Vito", "Wanda", "Yusuf", "Zoe"]


class Person:
    """Somebody with a phone. `mac` is twelve hex digits, as `randomized` says its own or made up."""

    def __init__(self, number, rng):
        self.number = number
        self.name = NAMES[number % len(NAMES)]
        self.manufacturer, self.os, prefix = rng.choice(DEVICES)
        self.randomized = rng.random() < 0.6
        self.prefix = prefix
        self.new_mac(rng)
        self.ipv4 = "192.0.2.%d" % (1 + number % 254)
        self.speed = rng.uniform(0.7, 1.4)  # m/s
        self.joins_wifi = rng.random() < 0.5  # else it only probes: no address, no name of a network
        self.logs_in = rng.random() < 0.35
        self.has_app = rng.random() < 0.3
        self.is_staff = False
        self.place, self.x, self.y = None, 0.0, 0.0
        self.target, self.rest_s = (0.0, 0.0), 0.0
        self.leaving = False

    def new_mac(self, rng):
        tail = "%06x" % rng.getrandbits(24)
        first = "%02x" % (rng.getrandbits(8) & 0xfc | 2)
        self.mac = first + "%04x" % rng.getrandbits(16) + tail if self.randomized else self.prefix + tail

    @property
    def email(self):
        return "%s%d@example.com" % (self.name.lower(), self.number)


class Venue:
    """Goes on by step(). `arrived`, `left` and `moved` are who has done so in the last step; moved has
    (person, old place, new place)."""

    def __init__(self, rng, people):
        self.rng, self.wanted, self.next_number = rng, people, 1
        self.people, self.arrived, self.left, self.moved = [], [], [], []
        for _ in range(max(1, people * 4 // 5)):  # it is open already
            self._enter(anywhere=True)
        for person in self.people[:max(1, people // 12)]:
            person.is_staff, person.randomized, person.joins_wifi = True, False, True
            person.new_mac(rng)

    def _enter(self, anywhere):
        person = Person(self.next_number, self.rng)
        self.next_number += 1
        person.place = self.rng.choice(PLACES)
        person.x = self.rng.uniform(0, person.place.width) if anywhere else 0.0
        person.y = self.rng.uniform(0, person.place.height)
        self._aim(person)
        self.people.append(person)
        self.arrived.append(person)

    def _aim(self, person):
        """To a place to look at, more often near an access point than not: that is where the counters are."""
        ap, rng = self.rng.choice(person.place.aps), self.rng
        near = rng.random() < 0.7
        person.target = (min(max(rng.gauss(ap.x, 5), 1), person.place.width - 1) if near
                         else rng.uniform(1, person.place.width - 1),
                         min(max(rng.gauss(ap.y, 5), 1), person.place.height - 1) if near
                         else rng.uniform(1, person.place.height - 1))
        person.rest_s = rng.expovariate(1 / 25)

    def _decide(self, person):
        """Having rested: on to something else, to another place, or home."""
        what = self.rng.random()
        if person.is_staff or what < 0.62:
            self._aim(person)
        elif what < 0.84:
            old = person.place
            person.place = self.rng.choice([place for place in PLACES if place is not old])
            person.x, person.y = 0.5, self.rng.uniform(1, person.place.height - 1)
            if person.randomized and self.rng.random() < 0.25:
                person.new_mac(self.rng)  # another network, another address
            self._aim(person)
            self.moved.append((person, old, person.place))
        else:
            person.leaving, person.target, person.rest_s = True, (0.0, person.y), 0.0

    def _walk(self, person, seconds):
        dx, dy = person.target[0] - person.x, person.target[1] - person.y
        way, far = person.speed * seconds, math.hypot(dx, dy)
        if far > way:
            person.x += dx / far * way
            person.y += dy / far * way
            return
        person.x, person.y = person.target
        person.rest_s -= seconds
        if person.leaving:
            self.left.append(person)
        elif person.rest_s <= 0:
            self._decide(person)

    def step(self, seconds):
        self.arrived, self.left, self.moved = [], [], []
        for person in self.people:
            self._walk(person, seconds)
        gone = set(map(id, self.left))
        self.people = [person for person in self.people if id(person) not in gone]
        # As many come as keep the house at its usual, more or less.
        missing = self.wanted - len(self.people)
        if self.rng.random() < seconds * max(0.02, missing * 0.05):
            self._enter(anywhere=False)

    def within(self, sort):
        return [person for person in self.people if person.place.sort == sort]


def zone_of(x, y):
    for zone in ZONES:
        if zone[2] <= x <= zone[4] and zone[3] <= y <= zone[5]:
            return zone
    return ZONES[0]
