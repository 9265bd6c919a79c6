"""What each platform posts of a venue (venue.py): its wire format, its authentication, its pace, and how it
misbehaves. A sender is asked for its posts as time goes on; it opens no connection."""
import hashlib
import hmac
import json
import math
import time

from venue import PLACES, zone_of


class Post:
    """One body on its way: `times` it is sent, as by a sender that saw no answer; `late_s` it is held back."""

    def __init__(self, body, headers=(), times=1, late_s=0.0):
        self.body = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        self.headers, self.times, self.late_s = dict(headers), times, late_s


def iso(now, tail="Z"):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%03d%s" % (now % 1 * 1000, tail)


def rssi_at(person, ap, rng):
    return round(-38 - 20 * math.log10(max(1, math.hypot(person.x - ap.x, person.y - ap.y))) + rng.gauss(0, 2))


class Sender:
    """`every_s` is its pace here; the real one's is up to a minute, which would be dull to watch."""

    every_s = 5.0

    def __init__(self, endpoint, rng):
        self.endpoint, self.rng, self.due, self.silent_until = endpoint, rng, None, 0.0

    def posts(self, venue, now):
        """Those that are due. Now and then a sender is silent for some minutes, as senders are."""
        if self.due is None:
            self.due = now + self.rng.uniform(0, min(self.every_s, 2))
        found = list(self.at_once(venue, now))
        if now >= self.due:
            self.due = now + self.every_s
            if self.rng.random() < 0.004:
                self.silent_until = now + self.rng.uniform(90, 240)
            found += self.regular(venue, now)
        if now < self.silent_until:
            return []
        for post in found:
            if self.rng.random() < 0.04:
                post.times = 2
        return found

    def at_once(self, venue, now):
        return []

    def regular(self, venue, now):
        return []


class Aerohive(Sender):
    def __init__(self, endpoint, rng):
        super().__init__(endpoint, rng)
        self.printer_since = None  # an idle device, told of again and again with the time it was last seen

    def observation(self, person, ap, now):
        place, rng = person.place, self.rng
        seen = now - rng.uniform(0, 2)
        lat, lng = place.lat_lng(person.x, person.y)
        found = {"clientMac": person.mac.upper(), "seenTime": iso(seen), "seenEpoch": int(seen * 1000),
                 "rssi": rssi_at(person, ap, rng), "manufacturer": person.manufacturer, "os": person.os,
                 "lat": round(lat, 7), "lng": round(lng, 7), "unc": round(rng.uniform(1.5, 6), 1),
                 "x": round(person.x, 2), "y": round(person.y, 2)}
        if person.joins_wifi:
            found.update(ipv4=person.ipv4, ssid="Harbour Guest")
        return found

    def regular(self, venue, now):
        place = PLACES[0]
        by_ap = {ap.mac: [] for ap in place.aps}
        for person in venue.within("aerohive"):
            ap = place.nearest(person.x, person.y)
            by_ap[ap.mac].append(self.observation(person, ap, now))
        self.printer_since = self.printer_since or now - 7000
        by_ap[place.aps[1].mac].append({"clientMac": "0026AB4D0001", "seenTime": iso(self.printer_since),
                                        "seenEpoch": int(self.printer_since * 1000), "manufacturer": "Epson",
                                        "ssid": "Harbour Staff", "rssi": -44, "x": "NaN", "y": "NaN"})
        if self.rng.random() < 0.02:
            by_ap[place.aps[0].mac].append({"seenTime": iso(now), "rssi": -80})  # nobody's: is rejected
        body = [{"apMac": mac, "ownerId": 1490, "observations": seen} for mac, seen in by_ap.items()]
        return [Post(body, {"Authorization": "Basic " + self.endpoint.secret})]


class Meraki(Sender):
    every_s = 6.0

    def regular(self, venue, now):
        place, rng = PLACES[1], self.rng
        observations = []
        for person in venue.within("meraki"):
            ap = place.nearest(person.x, person.y)
            lat, lng = place.lat_lng(person.x, person.y)
            seen = iso(now - rng.uniform(0, 3))
            power = rssi_at(person, ap, rng)
            observations.append({
                "clientMac": ":".join(person.mac[i:i + 2] for i in range(0, 12, 2)),
                "ipv4": person.ipv4 if person.joins_wifi else None,
                "ssid": "quay-guest" if person.joins_wifi else None, "os": None,
                "manufacturer": person.manufacturer,
                "latestRecord": {"time": seen, "nearestApMac": ap.mac, "nearestApRssi": power},
                "locations": [{"time": seen, "lat": round(lat, 7), "lng": round(lng, 7),
                               "variance": round(rng.uniform(1, 5), 1), "x": round(person.x, 2),
                               "y": round(person.y, 2), "floorPlanId": place.map_id, "floorPlanName": place.name,
                               "rssiRecords": [{"apMac": ap.mac, "rssi": power}]}]})
        aps = [{"serial": "Q2QU-0000-000%d" % i, "mac": ap.mac, "name": ap.name,
                "floorPlan": {"id": place.map_id, "name": place.name, "x": ap.x, "y": ap.y}}
               for i, ap in enumerate(place.aps)]
        body = {"version": "3.0", "secret": self.endpoint.secret, "type": "WiFi",
                "data": {"networkId": "N_42", "startTime": iso(now - self.every_s), "endTime": iso(now),
                         "reportingAps": aps, "observations": observations}}
        return [Post(body, late_s=self.rng.uniform(20, 60) if self.rng.random() < 0.02 else 0.0)]


class Mist(Sender):
    every_s = 2.0
    site = "3d1f0b52-77aa-4c1e-9f0e-5b6a7c8d9e01"

    def __init__(self, endpoint, rng):
        super().__init__(endpoint, rng)
        self.zones = {}  # of each address in the museum

    def signed(self, topic, events):
        body = json.dumps({"topic": topic, "events": events}, separators=(",", ":")).encode()
        digest = hmac.new(self.endpoint.secret.encode(), body, hashlib.sha256).hexdigest()
        return Post(body, {"X-Mist-Signature-v2": digest})

    def crossing(self, mac, zone, trigger, now):
        return {"site_id": self.site, "map_id": PLACES[2].map_id, "zone_id": zone[1], "name": zone[0],
                "trigger": trigger, "timestamp": round(now, 2), "type": "wifi", "mac": mac}

    def at_once(self, venue, now):
        zones, events = {person.mac: zone_of(person.x, person.y) for person in venue.within("mist")}, []
        for mac, zone in self.zones.items():
            if zones.get(mac) is not zone:
                events.append(self.crossing(mac, zone, "exit", now))
        for mac, zone in zones.items():
            if self.zones.get(mac) is not zone:
                events.append(self.crossing(mac, zone, "enter", now))
        self.zones = zones
        return [self.signed("zone", events)] if events else []

    def regular(self, venue, now):
        place = PLACES[2]
        events = [{"site_id": self.site, "map_id": place.map_id, "x": round(person.x, 2), "y": round(person.y, 2),
                   "timestamp": round(now - self.rng.uniform(0, 1), 2), "type": "wifi", "mac": person.mac}
                  for person in venue.within("mist")]
        return [self.signed("location", events)] if events else []


class Bt(Sender):
    """The portal of the lobby's bar and of the market: a post for each log-in."""

    def login(self, person, now):
        place = person.place
        lat, lng = place.lat_lng(0, 0)
        venue_id = 311 if place.sort == "aerohive" else 312
        return {"client": {"mac": "-".join(person.mac[i:i + 2] for i in range(0, 12, 2)).upper(),
                           "userAgent": "Mozilla/5.0 (Linux; demo)"},
                "company": {"id": 4210, "name": "Harbour Cafes"},
                "session": {"authenticationTime": time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(now))},
                "user": {"dateOfBirth": "%d-03-14" % (1960 + person.number % 45), "email": person.email,
                         "firstName": person.name, "gender": "FM"[person.number % 2], "id": 90000 + person.number,
                         "lastName": "Quay", "provider": "Email",
                         "visitCountsForVenues": {str(venue_id): 1 + person.number % 7}},
                "venue": {"id": venue_id, "latitude": "%.7f" % lat, "longitude": "%.7f" % lng, "name": place.name}}

    def at_once(self, venue, now):
        came = venue.arrived + [person for person, _, _ in venue.moved]
        found = [Post(self.login(person, now)) for person in came
                 if person.logs_in and person.joins_wifi and person.place.sort != "mist"]
        if found and self.rng.random() < 0.08:
            found.append(Post(found[0].body[:-1]))  # as the documentation's own sample: a brace is missing
        return found


class PubNub(Sender):
    """The guests' app: who is in the chat of which place."""

    every_s = 15.0
    key = "sub-c-7d11"

    def event(self, action, person, place, venue, now, **more):
        inside = sum(other.has_app and other.place is place for other in venue.people)
        return Post({"action": action, "sub_key": self.key, "channel": place.name.lower().replace(" ", "-"),
                     "uuid": "guest-%d" % person.number, "timestamp": int(now), "occupancy": inside, **more})

    def at_once(self, venue, now):
        found = [self.event("join", person, person.place, venue, now) for person in venue.arrived if person.has_app]
        for person in venue.left:
            if person.has_app:
                found.append(self.event("timeout" if person.number % 4 == 0 else "leave", person, person.place,
                                        venue, now))
        for person, old, new in venue.moved:
            if person.has_app:
                found += [self.event("leave", person, old, venue, now), self.event("join", person, new, venue, now)]
        return found

    def regular(self, venue, now):
        users = [person for person in venue.people if person.has_app]
        if not users:
            return []
        person = self.rng.choice(users)
        return [self.event("state-change", person, person.place, venue, now,
                           data={"mood": self.rng.choice(["calm", "curious", "hungry"])})]


class Door(Sender):
    """A counter at the door that posts what it likes."""

    every_s = 10.0

    def __init__(self, endpoint, rng):
        super().__init__(endpoint, rng)
        self.came = self.went = 0

    def at_once(self, venue, now):
        self.came += len(venue.arrived)
        self.went += len(venue.left)
        return []

    def regular(self, venue, now):
        body = {"sensor": "door-1", "in": self.came, "out": self.went, "at": iso(now)}
        self.came = self.went = 0
        return [Post(body)]


SENDERS = {"aerohive": Aerohive, "meraki": Meraki, "mist": Mist, "bt": Bt, "pubnub": PubNub, "json": Door}
