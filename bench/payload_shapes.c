/* The senders' bodies, without white space, as they send them; a byte below 32 stands for what is
 * put in its place: see enum payload_mark. */
#include "payload.h"

/* The marks, as they stand in string literals. */
#define MAC        "\001"
#define MAC_LOWER  "\002"
#define MAC_COLON  "\003"
#define MAC_DASH   "\004"
#define RSSI       "\005"
#define NUMBER     "\006"
#define ISO_MS     "\016"
#define ISO_S      "\017"
#define ISO_OFFSET "\020"
#define EPOCH_MS   "\021"
#define EPOCH_S    "\022"
#define EPOCH_F    "\023"
#define AP         "\024"
#define CONNECTION "\025"
#define SECRET     "\026"
#define IPV4       "\027"
#define INDEX      "\030"

#define PUBNUB_SCHEMA "pubnub.com/schemas/events/presence.user.channel.joined?v=1.0.0"

const struct payload_shape payload_shapes[PAYLOAD_SENDERS] = {
    /* HiveManager: upper-case MACs, numbers as numbers. */
    [PAYLOAD_AEROHIVE] =
        {
            .name = "aerohive",
            .front = "[{\"apMac\":\"C413E2" AP "40\",\"ownerId\":1490,\"observations\":[",
            .item = "{\"clientMac\":\"" MAC "\",\"ipv4\":\"" IPV4 "\",\"ipv6\":null,"
                    "\"seenTime\":\"" ISO_MS "\",\"seenEpoch\":" EPOCH_MS
                    ",\"ssid\":\"Venue Guest\",\"rssi\":-" RSSI
                    ",\"manufacturer\":\"Apple Inc\",\"os\":\"ios\",\"lat\":51.5355157,"
                    "\"lng\":-0.0699035,\"unc\":4.25,\"x\":10.591152352941176,"
                    "\"y\":18.072204411764705}",
            .back = "]}]",
            .usual = 3,
            .token = true,
        },
    /* One visit a post; no secret but the path. */
    [PAYLOAD_BT] =
        {
            .name = "bt",
            .front = "",
            .item = "{\"client\":{\"mac\":\"" MAC_DASH
                    "\",\"userAgent\":\"Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X)\"},"
                    "\"company\":{\"id\":4210,\"name\":\"Harbour Group\"},"
                    "\"session\":{\"authenticationTime\":\"" ISO_OFFSET
                    "\"},\"user\":{\"dateOfBirth\":\"1987-03-14\",\"email\":\"u" NUMBER
                    "@harbour.example\",\"firstName\":\"Ada\",\"gender\":\"F\",\"id\":" NUMBER
                    ",\"lastName\":\"Quay\",\"provider\":\"Form\","
                    "\"visitCountsForVenues\":{\"311\":7}},\"venue\":{\"id\":311,"
                    "\"latitude\":\"51.5080200\",\"longitude\":\"-0.0759000\","
                    "\"name\":\"Tower Pier\"}}",
            .back = "",
            .usual = 1,
            .single = true,
            .token = true,
        },
    [PAYLOAD_PUBNUB] =
        {
            .name = "pubnub",
            .front = "{\"schema\":\"" PUBNUB_SCHEMA "\",\"data\":[",
            .item =
                "{\"id\":\"" MAC_LOWER "-" EPOCH_MS
                "\",\"channel\":\"harbour\",\"userId\":\"bench-" MAC_LOWER "\",\"occupancy\":" RSSI
                ",\"data\":{},\"timestamp\":\"" ISO_MS "\",\"subKey\":\"sub-c-7d11\"}",
            .back = "]}",
            .usual = 3,
            .token = true,
        },
    [PAYLOAD_PUBNUB_FLAT] =
        {
            .name = "pubnub-flat",
            .front = "",
            .item = "{\"action\":\"join\",\"sub_key\":\"sub-c-7d11\",\"channel\":\"harbour\","
                    "\"uuid\":\"bench-" MAC_LOWER "\",\"timestamp\":" EPOCH_S ",\"occupancy\":" RSSI
                    ",\"data\":{\"mood\":\"calm\"}}",
            .back = "",
            .usual = 1,
            .single = true,
            .token = true,
        },
    /* One access point a post; rssi above zero. */
    [PAYLOAD_MERAKI_V2] =
        {
            .name = "meraki",
            .front = "{\"version\":\"2.0\",\"secret\":\"" SECRET
                     "\",\"type\":\"DevicesSeen\",\"data\":{\"apMac\":\"00:18:0a:5c:11:d0\","
                     "\"apFloors\":[],\"apTags\":[\"quay\",\"north\"],\"observations\":[",
            .item = "{\"clientMac\":\"" MAC_COLON "\",\"ipv4\":\"/" IPV4
                    "\",\"ipv6\":null,\"seenTime\":\"" ISO_S "\",\"seenEpoch\":" EPOCH_S
                    ",\"ssid\":\"quay-guest\",\"rssi\":" RSSI
                    ",\"manufacturer\":\"Fairphone\",\"os\":null,\"location\":{\"lat\":48.2082,"
                    "\"lng\":16.3738,\"unc\":1.23,\"x\":[],\"y\":[]}}",
            .back = "]}}",
            .usual = 3,
        },
    /* One network a post. */
    [PAYLOAD_MERAKI_V3] =
        {
            .name = "meraki-v3",
            .front =
                "{\"version\":\"3.0\",\"secret\":\"" SECRET
                "\",\"type\":\"WiFi\",\"data\":{\"networkId\":\"N_42\",\"startTime\":\"" ISO_S
                "\",\"endTime\":\"" ISO_S "\",\"reportingAps\":[{\"serial\":\"Q2QU-0000-0007\","
                "\"mac\":\"00:18:0a:5c:00:01\",\"name\":\"quay-1\",\"lat\":48.25,"
                "\"lng\":16.375,\"tags\":[],\"floorPlan\":{\"id\":\"g_7\","
                "\"name\":\"Ground\",\"x\":1.5,\"y\":2.5}}],\"observations\":[",
            .item = "{\"clientMac\":\"" MAC_COLON "\",\"name\":\"phone\",\"ipv4\":\"" IPV4
                    "\",\"ipv6\":null,\"ssid\":\"quay-guest\",\"os\":null,"
                    "\"manufacturer\":\"Fairphone\",\"latestRecord\":{\"time\":\"" ISO_S
                    "\",\"nearestApMac\":\"00:18:0a:5c:00:01\",\"nearestApRssi\":-" RSSI
                    "},\"locations\":[{\"time\":\"" ISO_S
                    "\",\"lat\":48.25,\"lng\":16.375,\"variance\":2.1,\"x\":12.5,\"y\":3.0,"
                    "\"floorPlanId\":\"g_7\",\"floorPlanName\":\"Ground\","
                    "\"nearestApTags\":[\"\"],\"rssiRecords\":[{\"apMac\":\"00:18:0a:5c:00:01\","
                    "\"rssi\":-" RSSI "}]}]}",
            .back = "]}}",
            .usual = 3,
        },
    [PAYLOAD_MIST] =
        {
            .name = "mist",
            .front = "{\"topic\":\"location\",\"events\":[",
            .item = "{\"site_id\":\"3d1f0b52-77aa-4c1e-9f0e-5b6a7c8d9e01\","
                    "\"map_id\":\"a0b1c2d3-0000-4000-8000-00000000000a\",\"x\":13.5,\"y\":3.2,"
                    "\"timestamp\":" EPOCH_F ",\"type\":\"wifi\",\"mac\":\"" MAC_LOWER "\"}",
            .back = "]}",
            .usual = 3,
            .signs = true,
        },
    [PAYLOAD_JSON] =
        {
            .name = "json",
            .front = "",
            .item = "{\"bench\":{\"c\":" CONNECTION ",\"n\":" NUMBER
                    "},\"level\":\"info\",\"temperature\":21.5}",
            .back = "",
            .usual = 1,
            .single = true,
            .token = true,
        },
};
