"""A believable half hour of a venue with two floors and a café next door, as its senders would post it: people
who arrive, stay, walk about between access points, log in and leave. The same each time it is run. Not a
load: bench/ has that."""
import math
import random
import time

MINUTES = 34
STEP_S = 20

# Name, MAC, metres on its floor.
GROUND = [("Door", "00180a5c0001", 6, 14), ("Desk", "00180a5c0002", 18, 6), ("Hall west", "00180a5c0003", 26, 20),
          ("Hall east", "00180a5c0004", 44, 20), ("Bar", "00180a5c0005", 54, 7)]
GALLERY = [("Gallery north", "5c5b35aa0001", 12, 5), ("Gallery south", "5c5b35aa0002", 30, 14)]
CAFE = [("Terrace", "08ea44a1b2c0", 5, 4), ("Counter", "08ea44a1b2c1", 13, 7)]
FLOORS = {"ground": (GROUND, 60, 26), "gallery": (GALLERY, 40, 18), "cafe": (CAFE, 18, 10)}
MAKERS = [("Fairphone", "Android"), ("Apple", "iOS"), ("Samsung", "Android"), ("Lenovo", "Windows"), ("Apple", "macOS")]
NAMES = ["Ada Quay", "Jonas Weir", "Mara Pier", "Ilse Moor", "Tom Lock", "Noor Haven", "Eva Strand", "Lin Ford"]


class Person:
    def __init__(self, rng, number, arrives, stays):
        self.randomized = rng.random() < 0.55
        first = 0x02 | rng.choice((0, 4, 8)) if self.randomized else 0x3c
        self.mac = "%02x%010x" % (first, rng.getrandbits(40) if self.randomized else 0x2ef9100000 + number)
        self.arrives, self.leaves = arrives, arrives + stays
        self.floor = rng.choices(("ground", "gallery", "cafe"), (7, 2, 3))[0]
        aps, wide, high = FLOORS[self.floor]
        self.ap = rng.randrange(len(aps))
        self.x, self.y = aps[self.ap][2:]
        self.to = (self.x, self.y)
        self.maker, self.os = rng.choice(MAKERS)
        self.name = rng.choice(NAMES) if rng.random() < 0.12 else None
        self.staff = number % 17 == 0
        self.greeted = False

    def walk(self, rng):
        aps, wide, high = FLOORS[self.floor]
        if rng.random() < 0.16:
            target = rng.choice(aps)
            self.to = (min(max(target[2] + rng.gauss(0, 4), 0.5), wide), min(max(target[3] + rng.gauss(0, 3), 0.5), high))
        self.x += (self.to[0] - self.x) * 0.5 + rng.gauss(0, 0.4)
        self.y += (self.to[1] - self.y) * 0.5 + rng.gauss(0, 0.4)
        self.x, self.y = min(max(self.x, 0.2), wide), min(max(self.y, 0.2), high)
        self.ap = min(range(len(aps)), key=lambda i: math.dist((self.x, self.y), aps[i][2:]))

    def rssi(self):
        return -38 - round(2.2 * math.dist((self.x, self.y), FLOORS[self.floor][0][self.ap][2:]))


def iso(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def crowd(rng, seconds):
    """Some are there at the beginning; a wave comes, as before a talk."""
    people = []
    for number in range(150):
        wave = rng.random() < 0.5
        arrives = rng.gauss(seconds * 0.45, seconds * 0.12) if wave else rng.uniform(-600, seconds)
        people.append(Person(rng, number, arrives, rng.expovariate(1 / 900) + 120))
    return people


def meraki(people, at, secret):
    return {"version": "3.0", "secret": secret, "type": "WiFi", "data": {
        "networkId": "N_42", "startTime": iso(at - STEP_S), "endTime": iso(at),
        "reportingAps": [{"serial": "Q2QU-0000-%04d" % i, "mac": mac, "name": name, "tags": [],
                          "floorPlan": {"id": "g_7", "name": "Ground floor", "x": x, "y": y}}
                         for i, (name, mac, x, y) in enumerate(GROUND)],
        "observations": [{"clientMac": p.mac, "ssid": "harbour-guest", "os": p.os, "manufacturer": p.maker,
                          "latestRecord": {"time": iso(at), "nearestApMac": GROUND[p.ap][1], "nearestApRssi": p.rssi()},
                          "locations": [{"time": iso(at), "x": round(p.x, 1), "y": round(p.y, 1),
                                         "variance": round(1 + abs(p.rssi() + 38) / 9, 1), "floorPlanId": "g_7",
                                         "floorPlanName": "Ground floor",
                                         "rssiRecords": [{"apMac": GROUND[p.ap][1], "rssi": p.rssi()}]}]}
                         for p in people]}}


def mist(people, at):
    return {"topic": "location", "events": [
        {"mac": p.mac, "map_id": "gallery", "map_name": "Gallery", "site_id": "harbour", "type": "wifi",
         "x": round(p.x, 1), "y": round(p.y, 1), "timestamp": at} for p in people]}


def aerohive(people, at):
    return [{"apMac": mac, "apName": name, "ownerId": 1490, "observations": [
        {"clientMac": p.mac, "seenTime": iso(at), "seenEpoch": int(at) * 1000, "ssid": "cafe", "rssi": p.rssi(),
         "manufacturer": p.maker, "os": p.os, "x": round(p.x, 1), "y": round(p.y, 1), "unc": 2.5}
        for p in people if CAFE[p.ap][1] == mac]} for name, mac, _, _ in CAFE]


def bt(person, at):
    first, last = person.name.split()
    return {"client": {"mac": person.mac, "userAgent": "Mozilla/5.0"}, "company": {"id": 4210, "name": "Harbour Hall"},
            "session": {"authenticationTime": time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(at))},
            "user": {"id": int(person.mac[6:], 16), "email": first.lower() + "@harbour.example", "firstName": first,
                     "lastName": last, "provider": "Email", "visitCountsForVenues": {"311": 2}},
            "venue": {"id": 311, "name": "Harbour Hall", "latitude": "51.50802", "longitude": "-0.0759"}}


def pubnub(action, person, at, occupancy):
    return {"action": action, "channel": "staff", "uuid": "badge-" + person.mac[-4:], "sub_key": "sub-c-7d11",
            "timestamp": int(at), "occupancy": occupancy}


def venue_hour(begin, secret):
    """Yields (time, path, body) in order, from `begin` (seconds) on, for MINUTES."""
    rng = random.Random(1907)
    people = crowd(rng, MINUTES * 60)
    staff = set()
    for offset in range(0, MINUTES * 60 + 1, STEP_S):
        at = begin + offset
        here = [p for p in people if p.arrives <= offset < p.leaves]
        for person in here:
            person.walk(rng)
            if person.name and not person.greeted:
                person.greeted = True
                yield at, "/bt/unguessable", bt(person, at)
        for person in (p for p in people if p.staff and (p in here) != (p in staff)):
            (staff.add if person in here else staff.remove)(person)
            yield at, "/pn/unguessable", pubnub("join" if person in here else "leave", person, at, len(staff))
        on = {floor: [p for p in here if p.floor == floor] for floor in FLOORS}
        yield at, "/cisco", meraki(on["ground"], at, secret)
        if on["gallery"]:
            yield at, "/juniper", mist(on["gallery"], at)
        if on["cafe"]:
            yield at, "/hive", aerohive(on["cafe"], at)
