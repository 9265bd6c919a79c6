/* The configuration: every key of a good file, every mistake with its exact words, the bounds of
 * every value, and a dump that reads back as what it was made from. Long because of its table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch.h"
#include "config.h"
#include "config_value.h"
#include "log.h"
#include "privacy.h"
#include "ring.h"

#define GOOD_FILE "test/data/config/good.conf"

/* The least that is a configuration. What a case adds behind it begins at line 9. */
#define SERVER      "[server]\ncertificate = cert.pem\nprivate_key = key.pem\nsocket = s.sock\n"
#define LAB         "[endpoint lab]\npath = /lab\nprovider = json\nauth = none\n"
#define IN_SERVER   LAB SERVER
#define IN_ENDPOINT SERVER LAB

#define TEN(x)     x x x x x x x x x x
#define HUNDRED(x) TEN(TEN(x))

static char root[4096], directory[] = "/tmp/rollcall-test-config-XXXXXX";

static void write_file(const char *path, const char *bytes, size_t len) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* In the temporary directory, so that messages have a short file name in front. */
static int enter_directory(void **state) {
    (void)state;
    assert_int_equal(chdir(directory), 0);
    return 0;
}

static int enter_root(void **state) {
    (void)state;
    assert_int_equal(chdir(root), 0);
    return 0;
}

static int make_directory(void **state) {
    (void)state;
    assert_non_null(getcwd(root, sizeof(root)));
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    write_file("cert.pem", "x", 1);
    write_file("key.pem", "x", 1);
    write_file("empty.txt", "\n", 1);
    write_file("lines.txt", "a\nb\n", 4);
    char bytes[515];
    memset(bytes, 's', sizeof(bytes));
    memcpy(bytes + 512, "\r\n", 2);
    write_file("512.txt", bytes, 514);
    memset(bytes, 's', sizeof(bytes));
    write_file("513.txt", bytes, 513);
    assert_int_equal(setenv("ROLLCALL_TEST_DIR", "test/data/config", 1), 0);
    assert_int_equal(setenv("ROLLCALL_TEST_SECRET", "s3cret", 1), 0);
    assert_int_equal(setenv("ROLLCALL_TEST_EMPTY", "", 1), 0);
    assert_int_equal(setenv("ROLLCALL_TEST_LINE", "s3cret\n", 1), 0);
    assert_int_equal(setenv("ROLLCALL_TEST_BLANK", " s3cret", 1), 0);
    unsetenv("ROLLCALL_TEST_UNSET");
    return 0;
}

static int remove_directory(void **state) {
    (void)state;
    assert_int_equal(chdir(directory), 0);
    unlink("cert.pem");
    unlink("key.pem");
    unlink("empty.txt");
    unlink("lines.txt");
    unlink("512.txt");
    unlink("513.txt");
    unlink("rollcall.conf");
    assert_int_equal(chdir(root), 0);
    return rmdir(directory);
}

/* Loads the file; *messages is what was said, to be freed. */
static int load(struct config **config, const char *path, char **messages) {
    size_t len;
    FILE *errors = open_memstream(messages, &len);
    assert_non_null(errors);
    int rc = config_load(config, path, errors);
    assert_int_equal(fclose(errors), 0);
    return rc;
}

static void expect_messages_of(const char *bytes, size_t len, const char *expected) {
    struct config *config;
    char *messages;

    write_file("rollcall.conf", bytes, len);
    int rc = load(&config, "rollcall.conf", &messages);
    if (strcmp(messages, expected) != 0)
        fprintf(stderr, "the file:\n%.*s\n", (int)len, bytes);
    assert_string_equal(messages, expected);
    assert_int_equal(rc, *expected ? CONFIG_INVALID : 0);
    assert_true(*expected ? config == NULL : config != NULL);
    free(messages);
    config_unref(config);
}

static void expect_messages(const char *text, const char *expected) {
    expect_messages_of(text, strlen(text), expected);
}

static struct config *load_good(const char *path) {
    struct config *config;
    char *messages;
    int rc = load(&config, path, &messages);
    assert_string_equal(messages, "");
    assert_int_equal(rc, 0);
    free(messages);
    return config;
}

static struct config *load_text(const char *text) {
    write_file("rollcall.conf", text, strlen(text));
    return load_good("rollcall.conf");
}

static void check_address(const struct config_address *address, const char *host, unsigned port,
                          unsigned line) {
    assert_string_equal(address->host, host);
    assert_int_equal(address->port, port);
    assert_int_equal(address->line, line);
}

static void check_secret(const struct config_endpoint *endpoint, unsigned i, const char *bytes) {
    assert_true(i < endpoint->secret_count);
    assert_string_equal(endpoint->secrets[i]->bytes, bytes);
    assert_int_equal(endpoint->secrets[i]->len, strlen(bytes));
}

static void test_every_field(void **state) {
    (void)state;
    struct config *config = load_good(GOOD_FILE);

    assert_int_equal(config->listen_count, 3);
    check_address(&config->listen[0], "127.0.0.1", 0, 5);
    check_address(&config->listen[1], "::1", 9443, 6);
    check_address(&config->listen[2], "0.0.0.0", 9443, 7);
    assert_string_equal(config->certificate, "test/data/config/certificate.txt");
    assert_string_equal(config->private_key, "test/data/config/private_key.txt");
    assert_string_equal(config->socket, "/tmp/rollcall-test/events.sock");
    assert_int_equal(config->socket_mode, 0600);
    assert_string_equal(config->socket_group, "adm");
    assert_int_equal(config->max_connections, 123);
    assert_int_equal(config->max_connections_per_ip, 45);
    assert_int_equal(config->header_timeout_ms, 1500);
    assert_int_equal(config->body_timeout_ms, 2000);
    assert_int_equal(config->keepalive_timeout_ms, 180000);
    assert_int_equal(config->drain_timeout_ms, 3600000);
    assert_int_equal(config->max_header_bytes, 16384);
    assert_int_equal(config->max_body_bytes, 3 << 20);
    assert_int_equal(config->ring_size_bytes, 1 << 30);
    assert_string_equal(config->ring_file, "/tmp/rollcall-test/ring");
    assert_int_equal(config->ring_sync, CONFIG_SYNC_INTERVAL);
    assert_int_equal(config->ring_sync_ms, 250);
    assert_int_equal(config->max_hold_ms, 60 * 1000);
    assert_int_equal(config->dedupe_window_ms, 26 * 3600000);
    assert_int_equal(config->dedupe_max_ids, 5000);
    assert_int_equal(config->dedupe_mode, BATCH_MARK);
    assert_string_equal(config->client_ca, "test/data/config/certificate.txt");
    assert_int_equal(config->certificate_line, 8);
    assert_int_equal(config->private_key_line, 9);
    assert_int_equal(config->client_ca_line, 10);
    assert_true(config->reuse_port);
    check_address(&config->admin, "127.0.0.1", 9464, 23);
    assert_int_equal(config->privacy_mac, PRIVACY_PSEUDONYM);
    assert_int_equal(config->privacy_personal, PRIVACY_DROP);
    assert_int_equal(config->privacy_key->len, 22);
    assert_memory_equal(config->privacy_key->bytes, "sixteen bytes at least", 22);
    assert_int_equal(config->privacy_rotate_ms, 168 * 3600000);
    assert_int_equal(config->log_level, LOG_DEBUG);
    assert_true(config->log_json);

    const struct config_endpoint *hq = config->endpoints;
    assert_string_equal(hq->name, "hq");
    assert_string_equal(hq->path, "/presence/hq");
    assert_string_equal(hq->sender->name, "aerohive");
    assert_int_equal(hq->auth, AUTH_TOKEN);
    assert_int_equal(hq->secret_count, 4);
    check_secret(hq, 0, "s3cret");
    check_secret(hq, 1, "old-s3cret-secret");
    check_secret(hq, 2, "with = signs : and # marks;too");
    check_secret(hq, 3, "secret of a file");
    assert_string_equal(hq->secrets[3]->file, "test/data/config/secret.txt");
    assert_int_equal(hq->allow_from_count, 3);
    char range[ADDRESS_TEXT_BYTES];
    address_format(&hq->allow_from[1], range);
    assert_string_equal(range, "2001:db8::/32");
    address_format(&hq->allow_from[2], range);
    assert_string_equal(range, "198.51.100.7");
    assert_int_equal(hq->rate_limit.count, 200);
    assert_int_equal(hq->rate_limit.burst, 400);
    assert_int_equal(hq->identity, CONFIG_IDENTITY_BODY);
    assert_true(hq->keep_unreadable);
    assert_int_equal(hq->line, 46);

    const struct config_endpoint *lab = hq->next;
    assert_string_equal(lab->name, "lab.2_x-Y");
    assert_string_equal(lab->path, "/presence/lab/%7Bx%7D");
    assert_string_equal(lab->sender->name, "json");
    assert_int_equal(lab->auth, AUTH_NONE);
    assert_int_equal(lab->secret_count, 0);
    assert_false(lab->keep_unreadable);
    assert_int_equal(lab->identity, CONFIG_IDENTITY_HEADER);
    assert_string_equal(lab->identity_header, "X-Delivery");
    assert_int_equal(lab->line, 59);

    const struct config_endpoint *branch = lab->next;
    assert_string_equal(branch->path, "/presence/branch");
    assert_int_equal(branch->auth, AUTH_NONE);
    assert_int_equal(branch->keep_unreadable, branch->sender->keep_unreadable);
    assert_null(branch->next);
    config_unref(config);
}

static void test_defaults(void **state) {
    (void)state;
    struct config *config = load_text(SERVER LAB);

    assert_int_equal(config->listen_count, 1);
    check_address(&config->listen[0], "0.0.0.0", 8443, 1);
    assert_int_equal(config->socket_mode, 0660);
    assert_null(config->socket_group);
    assert_int_equal(config->max_connections, 10000);
    assert_int_equal(config->max_connections_per_ip, 1000);
    assert_int_equal(config->header_timeout_ms, 10000);
    assert_int_equal(config->body_timeout_ms, 30000);
    assert_int_equal(config->keepalive_timeout_ms, 75000);
    assert_int_equal(config->drain_timeout_ms, 10000);
    assert_int_equal(config->max_header_bytes, 32768);
    assert_int_equal(config->max_body_bytes, 8 << 20);
    assert_int_equal(config->ring_size_bytes, 64 << 20);
    assert_int_equal(config->dedupe_window_ms, 4 * 3600000);
    assert_int_equal(config->dedupe_max_ids, 1000000);
    assert_int_equal(config->dedupe_mode, BATCH_DROP);
    assert_int_equal(config->log_level, LOG_INFO);
    assert_false(config->log_json);
    assert_int_equal(config->endpoints->keep_unreadable,
                     config->endpoints->sender->keep_unreadable);
    config_unref(config);
}

/* A file and all that is said about it. */
static const struct {
    const char *text, *messages;
} mistakes[] = {
    /* The whole. */
    {"", "rollcall.conf:1: there is no [server] section; certificate, private_key and socket must "
         "be set\n"
         "rollcall.conf:1: there is no [endpoint NAME] section; nothing could be posted\n"},
    {LAB, "rollcall.conf:1: there is no [server] section; certificate, private_key and socket must "
          "be set\n"},
    {SERVER, "rollcall.conf:1: there is no [endpoint NAME] section; nothing could be posted\n"},
    {LAB "[server]\n", "rollcall.conf:5: [server] has no \"certificate\"\n"
                       "rollcall.conf:5: [server] has no \"private_key\"\n"
                       "rollcall.conf:5: [server] has no \"socket\"\n"},
    /* Sections. */
    {IN_SERVER "[sever]\nlisten = rubbish\n",
     "rollcall.conf:9: unknown section [sever]; did you mean \"server\"?\n"},
    {IN_SERVER "[kitchen]\nsink = 1\n", "rollcall.conf:9: unknown section [kitchen]\n"},
    {IN_SERVER "[Ring]\nsize = 1M\n",
     "rollcall.conf:9: unknown section [Ring]; did you mean \"ring\"?\n"},
    {IN_SERVER "[]\n", "rollcall.conf:9: unknown section []\n"},
    {IN_SERVER "[log\nlevel = loud\n",
     "rollcall.conf:9: a section's header must be [NAME] and nothing else\n"},
    {IN_SERVER "[log] level = info\n",
     "rollcall.conf:9: a section's header must be [NAME] and nothing else\n"},
    {IN_SERVER "[log main]\n", "rollcall.conf:9: [log] takes no name\n"},
    {IN_SERVER "[log]\n[ring]\n[log]\n", "rollcall.conf:11: [log] is there already, in line 9\n"},
    {IN_SERVER "[endpoint]\npath = /x\nprovider = json\nauth = none\n",
     "rollcall.conf:9: an endpoint needs a name, as in [endpoint hq]\n"},
    {IN_SERVER "[endpoint a b]\npath = /x\nprovider = json\nauth = none\n",
     "rollcall.conf:9: the name of an endpoint is at most 64 of A-Z a-z 0-9 . _ -, not \"a b\"\n"},
    {IN_SERVER "[endpoint " TEN("abcdef") "abcde]\npath = /x\nprovider = json\nauth = none\n",
     "rollcall.conf:9: the name of an endpoint is at most 64 of A-Z a-z 0-9 . _ -, not \"" TEN(
         "abcdef") "abcd...\"\n"},
    {IN_SERVER "[endpoint lab]\npath = /x\nprovider = json\nauth = none\n",
     "rollcall.conf:9: [endpoint lab] is there already, in line 1\n"},
    {"level = info\n" IN_SERVER,
     "rollcall.conf:1: a key stands before the first section, such as [server]\n"},
    /* Lines. */
    {IN_SERVER "max_connections 5\n",
     "rollcall.conf:9: this is neither \"key = value\" nor [section]\n"},
    {IN_SERVER "max_connections\n[ring]\nsize\n",
     "rollcall.conf:9: this is neither \"key = value\" nor [section]\n"
     "rollcall.conf:11: this is neither \"key = value\" nor [section]\n"},
    {IN_SERVER "= 5\n", "rollcall.conf:9: what stands before the \"=\" is no key of [server]\n"},
    /* Keys. */
    {IN_SERVER "max_conections = 5\n",
     "rollcall.conf:9: unknown key \"max_conections\" in [server]; did you mean "
     "\"max_connections\"?\n"},
    {IN_SERVER "sokcet_group = adm\n",
     "rollcall.conf:9: unknown key \"sokcet_group\" in [server]; did you mean "
     "\"socket_group\"?\n"},
    {IN_SERVER "colour = red\n", "rollcall.conf:9: unknown key \"colour\" in [server]\n"},
    {IN_SERVER "size = 1M\n",
     "rollcall.conf:9: unknown key \"size\" in [server]; it belongs into [ring]\n"},
    {IN_SERVER "Socket_Mode = 0600\n", "rollcall.conf:9: what stands before the \"=\" is no key of "
                                       "[server]; did you mean \"socket_mode\"?\n"},
    {IN_ENDPOINT "c2VjcmV0dGV4dA==\n",
     "rollcall.conf:9: what stands before the \"=\" is no key of [endpoint]\n"},
    {IN_SERVER "drain_timeout = 1s\ndrain_timeout = 2s\n",
     "rollcall.conf:10: \"drain_timeout\" is there already, in line 9\n"},
    {IN_SERVER "drain_timeout =\n", "rollcall.conf:9: \"drain_timeout\" has no value\n"},
    {IN_SERVER "socket_group = \"adm\"\n",
     "rollcall.conf:9: \"socket_group\" stands in quotes; they would be part of the value: take "
     "them away\n"},
    {IN_SERVER "socket_group = a\tb\n",
     "rollcall.conf:9: \"socket_group\" contains a control character, such as a tab or a line "
     "break\n"},
    /* Values. */
    {IN_SERVER "max_connections = many\n",
     "rollcall.conf:9: \"max_connections\" must be a whole number, not \"many\"\n"},
    {IN_SERVER "max_connections = 10K\n",
     "rollcall.conf:9: \"max_connections\" must be a whole number, not \"10K\"\n"},
    {IN_SERVER "max_connections = -1\n",
     "rollcall.conf:9: \"max_connections\" must be a whole number, not \"-1\"\n"},
    {IN_SERVER "max_connections = 0\n",
     "rollcall.conf:9: \"max_connections\" must be from 1 to 1000000, not 0\n"},
    {IN_SERVER "max_connections = 99999999999999999999\n",
     "rollcall.conf:9: \"max_connections\" must be from 1 to 1000000, not 99999999999999999999\n"},
    {IN_SERVER "max_connections = 5 # a lot\n",
     "rollcall.conf:9: \"max_connections\" must be a whole number, not \"5 # a lot\"\n"},
    {IN_SERVER "header_timeout = 10\n",
     "rollcall.conf:9: \"header_timeout\" must be a time such as 500ms, 10s, 5m or 1h, not "
     "\"10\"\n"},
    {IN_SERVER "header_timeout = 2h\n",
     "rollcall.conf:9: \"header_timeout\" must be from 100ms to 1h, not 2h\n"},
    {IN_SERVER "max_body_bytes = 8MB\n",
     "rollcall.conf:9: \"max_body_bytes\" must be a size such as 4096, 32K, 8M or 1G, not "
     "\"8MB\"\n"},
    {IN_SERVER "max_body_bytes = 2G\n",
     "rollcall.conf:9: \"max_body_bytes\" must be from 1 to 1G, not 2G\n"},
    {IN_SERVER "max_header_bytes = 18446744073709551615G\n",
     "rollcall.conf:9: \"max_header_bytes\" must be from 1K to 1M, not 18446744073709551615G\n"},
    {IN_SERVER "[ring]\nsize = 65535\n",
     "rollcall.conf:10: \"size\" must be from 64K to 1024G, not 65535\n"},
    {IN_SERVER "socket_mode = 0680\n",
     "rollcall.conf:9: \"socket_mode\" must be an octal file mode from 0000 to 0777, such as 0660, "
     "not \"0680\"\n"},
    {IN_SERVER "socket_mode = 1777\n",
     "rollcall.conf:9: \"socket_mode\" must be an octal file mode from 0000 to 0777, such as 0660, "
     "not \"1777\"\n"},
    {IN_SERVER "listen = localhost:8443\n",
     "rollcall.conf:9: \"listen\" must be a numeric address and a port, such as 0.0.0.0:8443 or "
     "[::]:8443, not \"localhost:8443\"\n"},
    {IN_SERVER "listen = 0.0.0.0:65536\n",
     "rollcall.conf:9: the port of \"listen\" must be from 0 to 65535, not \"0.0.0.0:65536\"\n"},
    {IN_SERVER "listen = [::1]:1\nlisten = [::1]:2\nlisten = [::1]:1\n",
     "rollcall.conf:11: \"listen\" names the address of line 9 again\n"},
    {IN_SERVER "[log]\nlevel = verbose\n",
     "rollcall.conf:10: \"level\" must be error, warning, info or debug, not \"verbose\"\n"},
    {IN_SERVER "[log]\nformat = jsn\n",
     "rollcall.conf:10: \"format\" must be logfmt or json, not \"jsn\"; did you mean \"json\"?\n"},
    {LAB "[server]\ncertificate = nowhere/c.pem\nprivate_key = nowhere/k.pem\nsocket = s\n",
     "rollcall.conf:6: cannot read the certificate \"nowhere/c.pem\": No such file or directory\n"
     "rollcall.conf:7: cannot read the private_key \"nowhere/k.pem\": No such file or "
     "directory\n"},
    /* The environment. */
    {IN_SERVER "socket_group = ${ROLLCALL_TEST_UNSET}\n",
     "rollcall.conf:9: \"socket_group\" needs the environment variable ROLLCALL_TEST_UNSET, which "
     "is not set\n"},
    {IN_SERVER "socket_group = ${ROLLCALL TEST}\n",
     "rollcall.conf:9: \"socket_group\" has a \"${\" that does not begin a ${NAME}\n"},
    {IN_SERVER "socket_group = x${ROLLCALL_TEST_SECRET\n",
     "rollcall.conf:9: \"socket_group\" has a \"${\" that does not begin a ${NAME}\n"},
    {IN_SERVER "socket_group = ${}\n",
     "rollcall.conf:9: \"socket_group\" has a \"${\" that does not begin a ${NAME}\n"},
    {IN_SERVER "socket_group = ${1ST}\n",
     "rollcall.conf:9: \"socket_group\" has a \"${\" that does not begin a ${NAME}\n"},
    {IN_SERVER "drain_timeout = ${ROLLCALL_TEST_EMPTY}\n",
     "rollcall.conf:9: \"drain_timeout\" has no value\n"},
    /* A secret in the wrong place is not shown. */
    {IN_SERVER "max_connections = ${ROLLCALL_TEST_SECRET}\n",
     "rollcall.conf:9: \"max_connections\" must be a whole number, not "
     "\"${ROLLCALL_TEST_SECRET}\"\n"},
    /* Files of secrets. */
    {IN_ENDPOINT "[endpoint hq]\npath = /hq\nprovider = aerohive\nsecret_file = /nowhere/s\n",
     "rollcall.conf:12: cannot read the secret_file \"/nowhere/s\": No such file or directory\n"},
    {IN_ENDPOINT "[endpoint hq]\npath = /hq\nprovider = aerohive\nsecret_file = .\n",
     "rollcall.conf:12: cannot read the secret_file \".\": Is a directory\n"},
    {IN_ENDPOINT "[endpoint hq]\npath = /hq\nprovider = aerohive\nsecret_file = empty.txt\n",
     "rollcall.conf:12: the secret_file \"empty.txt\" is empty\n"},
    {IN_ENDPOINT "[endpoint hq]\npath = /hq\nprovider = aerohive\nsecret_file = lines.txt\n",
     "rollcall.conf:12: the secret_file \"lines.txt\" contains a control character, such as a "
     "second line\n"},
    {IN_ENDPOINT "[endpoint hq]\npath = /hq\nprovider = aerohive\nsecret_file = 513.txt\n",
     "rollcall.conf:12: the secret_file \"513.txt\" holds more than 512 bytes: this is no "
     "secret\n"},
    /* The ring's file. */
    {IN_SERVER "[ring]\nsync = always\n",
     "rollcall.conf:10: \"sync\" has no meaning without \"file\": there is nothing to write to\n"},
    {IN_SERVER "[ring]\nfile = r\nsync = sometimes\n",
     "rollcall.conf:11: \"sync\" must be never, always or interval TIME, such as interval 100ms, "
     "not "
     "\"sometimes\"\n"},
    {IN_SERVER "[ring]\nfile = r\nsync = interval 0s\n",
     "rollcall.conf:11: \"sync\" must be from 1ms to 1h, not interval 0s\n"},
    {IN_SERVER "[ring]\nmax_hold = 999ms\n",
     "rollcall.conf:10: \"max_hold\" must be from 1s to 8760h, not 999ms\n"},
    /* Privacy. */
    {IN_SERVER "[privacy]\nmac = hash\n",
     "rollcall.conf:10: \"mac\" must be plain, pseudonym or drop, not \"hash\"\n"},
    {IN_SERVER "[privacy]\npersonal = plain\n",
     "rollcall.conf:10: \"personal\" must be keep, pseudonym or drop, not \"plain\"\n"},
    {IN_SERVER "[privacy]\npersonal = drop\n",
     "rollcall.conf:9: [privacy] has no \"key\"; without one, anyone could try out who an event is "
     "about: write key = ${ROLLCALL_PRIVACY_KEY} or key_file = FILE\n"},
    {IN_SERVER "[privacy]\nkey = fifteen bytes..\n",
     "rollcall.conf:10: \"key\" has 15 bytes; 16 to 512 are allowed\n"},
    {IN_SERVER "[privacy]\nkey = ****\n",
     "rollcall.conf:10: \"key\" is masked, as --dump-config writes it; put the real one in\n"},
    {IN_SERVER "[privacy]\nkey = sixteen bytes at least\nkey_file = 512.txt\n",
     "rollcall.conf:11: there is a key already; one is enough\n"},
    {IN_SERVER "[privacy]\nrotate = 59s\n",
     "rollcall.conf:10: \"rotate\" must be from 1m to 8784h, not 59s\n"},
    /* Who may post, how often, and what is the same. */
    {IN_ENDPOINT "allow_from = 10.0.0.1/8\n",
     "rollcall.conf:9: \"allow_from\" has \"10.0.0.1/8\", which sets bits behind its prefix; did "
     "you mean \"10.0.0.0/8\"?\n"},
    {IN_ENDPOINT "allow_from = 10.0.0.0/8, office\n",
     "rollcall.conf:9: \"allow_from\" must be addresses or ranges such as 192.0.2.0/24 or "
     "2001:db8::/32, not \"office\"\n"},
    {IN_ENDPOINT "rate_limit = fast\n",
     "rollcall.conf:9: \"rate_limit\" must be a rate such as 200/s, 200/s burst 400, 1000/m or "
     "5000/h (1 to 1000000 each), not \"fast\"\n"},
    {IN_ENDPOINT "identity = header\n",
     "rollcall.conf:9: \"identity\" must be sender, body, header NAME or none, not \"header\"\n"},
    {IN_ENDPOINT "identity = header A B\n",
     "rollcall.conf:9: \"identity\" must be sender, body, header NAME or none, not \"header A "
     "B\"\n"},
    {IN_SERVER "admin = localhost\n",
     "rollcall.conf:9: \"admin\" must be a numeric address and a port, such as 127.0.0.1:9464, not "
     "\"localhost\"\n"},
    {IN_SERVER "reuse_port = true\n",
     "rollcall.conf:9: \"reuse_port\" must be no or yes, not \"true\"\n"},
    /* Endpoints. */
    {SERVER "[endpoint lab]\n", "rollcall.conf:5: [endpoint lab] has no \"path\"\n"
                                "rollcall.conf:5: [endpoint lab] has no \"provider\"\n"},
    {SERVER "[endpoint lab]\npath = /lab\nprovider = json\n",
     "rollcall.conf:5: [endpoint lab] has no \"auth\"; write auth = token with a secret, or auth = "
     "none to let anyone post\n"},
    {SERVER "[endpoint hq]\npath = /hq\nprovider = aerohive\n",
     "rollcall.conf:5: [endpoint hq] has no \"secret\"; without one, write auth = none\n"},
    {SERVER "[endpoint hq]\npath = /hq\nprovider = json\nauth = token\n",
     "rollcall.conf:8: [endpoint hq] has no \"secret\"; without one, write auth = none\n"},
    {IN_ENDPOINT "secret = s3cret\n",
     "rollcall.conf:9: \"secret\" has no meaning with auth = none; take one of the two away\n"},
    {SERVER "[endpoint hq]\npath = /hq\nprovider = aerohive\nauth = tokn\nsecret = x\n",
     "rollcall.conf:8: \"auth\" must be none, token, header NAME, basic USER, query NAME, body "
     "FIELD, hmac-sha256 HEADER [hex|base64], mist or standard-webhooks, not \"tokn\"; did you "
     "mean \"token\"?\n"},
    {SERVER "[endpoint hq]\npath = /hq\nprovider = aerohve\nauth = none\n",
     "rollcall.conf:7: unknown provider \"aerohve\"; did you mean \"aerohive\"?\n"},
    {IN_ENDPOINT "on_unreadable = drop\n",
     "rollcall.conf:9: \"on_unreadable\" must be refuse or keep, not \"drop\"\n"},
    {IN_ENDPOINT "secret = ${ROLLCALL_TEST_EMPTY}\n",
     "rollcall.conf:9: \"secret\" has no value\n"
     "rollcall.conf:9: \"secret\" has no meaning with auth = none; take one of the two away\n"},
    {IN_ENDPOINT "[endpoint hq]\npath = /hq\nprovider = aerohive\nsecret = ${ROLLCALL_TEST_LINE}\n",
     "rollcall.conf:12: \"secret\" contains a control character, such as a tab or a line break\n"},
    {IN_ENDPOINT
     "[endpoint hq]\npath = /hq\nprovider = aerohive\nsecret = ${ROLLCALL_TEST_BLANK}\n",
     "rollcall.conf:12: \"secret\" begins or ends with a blank\n"},
    {IN_ENDPOINT "[endpoint hq]\npath = /hq\nprovider = aerohive\nsecret = ****\n",
     "rollcall.conf:12: \"secret\" is masked, as --dump-config writes it; put the real one in\n"},
    {IN_ENDPOINT "[endpoint b]\npath = /lab\nprovider = json\nauth = none\n",
     "rollcall.conf:10: \"path\" is the same as that of [endpoint lab] in line 5\n"},
    {IN_ENDPOINT "[endpoint b]\npath = lab\nprovider = json\nauth = none\n",
     "rollcall.conf:10: \"path\" must begin with \"/\"\n"},
    {IN_ENDPOINT "[endpoint b]\npath = /b?x=1\nprovider = json\nauth = none\n",
     "rollcall.conf:10: \"path\" must not contain \"?\" or \"#\": senders' queries are no part of "
     "it\n"},
    {IN_ENDPOINT "[endpoint b]\npath = /b#c\nprovider = json\nauth = none\n",
     "rollcall.conf:10: \"path\" must not contain \"?\" or \"#\": senders' queries are no part of "
     "it\n"},
    {IN_ENDPOINT "[endpoint b]\npath = /b c\nprovider = json\nauth = none\n",
     "rollcall.conf:10: \"path\" must not contain blanks (a comment begins with \" ;\")\n"},
    {IN_ENDPOINT "[endpoint b]\npath = /b\x01\nprovider = json\nauth = none\n",
     "rollcall.conf:10: \"path\" contains a control character, such as a tab or a line break\n"},
    {IN_ENDPOINT "path = /b\n", "rollcall.conf:9: \"path\" is there already, in line 6\n"},
};

static void test_mistakes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
        expect_messages(mistakes[i].text, mistakes[i].messages);
}

static void test_all_mistakes_of_a_file(void **state) {
    (void)state;
    expect_messages("[server]\n"
                    "listne = 0.0.0.0:1\n"
                    "certificate = cert.pem\n"
                    "private_key = key.pem\n"
                    "socket = s.sock\n"
                    "body_timeout = soon\n"
                    "\n"
                    "[endpoint a]\n"
                    "  path = a\n"
                    "\tprovider = json ; a comment\n"
                    "[rnig]\n"
                    "size = 1\n"
                    "[log]\n"
                    "level = info",
                    "rollcall.conf:2: unknown key \"listne\" in [server]; did you mean "
                    "\"listen\"?\n"
                    "rollcall.conf:6: \"body_timeout\" must be a time such as 500ms, 10s, 5m or "
                    "1h, not \"soon\"\n"
                    "rollcall.conf:9: \"path\" must begin with \"/\"\n"
                    "rollcall.conf:8: [endpoint a] has no \"auth\"; write auth = token with a "
                    "secret, or auth = none to let anyone post\n"
                    "rollcall.conf:11: unknown section [rnig]; did you mean \"ring\"?\n");
}

static void test_unknown_provider_names_the_known(void **state) {
    char expected[512] = "rollcall.conf:7: unknown provider \"carrier-pigeon\"; known are ";
    (void)state;
    for (int i = 0; senders[i]; i++) {
        strcat(expected, i ? ", " : "");
        strcat(expected, senders[i]->name);
    }
    strcat(expected, "\n");
    expect_messages(SERVER "[endpoint b]\npath = /b\nprovider = carrier-pigeon\nauth = none\n",
                    expected);
}

/* What must not be appended to the line above, cut, or joined. */
static void test_lines(void **state) {
    (void)state;
    struct config *config =
        load_text(SERVER LAB "[endpoint hq]\npath = /hq\nprovider = aerohive\nsecret = first\n"
                             "   secret = second\n\t\n \t; a comment\nsecret = a;b ; c\n");
    assert_int_equal(config->endpoints->next->secret_count, 3);
    check_secret(config->endpoints->next, 0, "first");
    check_secret(config->endpoints->next, 1, "second");
    check_secret(config->endpoints->next, 2, "a;b");
    config_unref(config);

    /* Windows: a byte order mark and CR LF. */
    config = load_text("\xef\xbb\xbf[server]\r\ncertificate = cert.pem\r\nprivate_key = key.pem\r\n"
                       "socket = s.sock\r\n\r\n[endpoint lab]\r\npath = /lab\r\n"
                       "provider = json\r\nauth = none\r\n");
    assert_string_equal(config->socket, "s.sock");
    assert_string_equal(config->endpoints->path, "/lab");
    config_unref(config);

    const char nul[] = SERVER "socket_group = a\0dm\nrubbish\n";
    expect_messages_of(nul, sizeof(nul) - 1,
                       "rollcall.conf:5: the line contains a NUL byte: this is no text file\n");
}

/* A name alone is looked for where systemd puts credentials. */
static void test_credentials(void **state) {
    (void)state;
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
    assert_int_equal(mkdir("elsewhere", 0700), 0);
    assert_int_equal(chdir("elsewhere"), 0);
    write_file("cert.pem", "x", 1);
    write_file("key.pem", "x", 1);
    struct config *config =
        load_text(SERVER "[endpoint hq]\npath = /hq\nprovider = aerohive\nsecret_file = 512.txt\n");
    assert_int_equal(config->endpoints->secret_count, 1);
    assert_int_equal(config->endpoints->secrets[0]->len, 512);
    config_unref(config);
    unlink("cert.pem");
    unlink("key.pem");
    unlink("rollcall.conf");
    assert_int_equal(chdir(".."), 0);
    assert_int_equal(rmdir("elsewhere"), 0);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_secrets_add_up(void **state) {
    char text[4096] = SERVER "[endpoint hq]\npath = /hq\nprovider = aerohive\n";
    (void)state;
    for (int i = 0; i < CONFIG_MAX_SECRETS; i++)
        strcat(text, i % 2 ? "secret_file = 512.txt\n" : "secret = words\n");
    config_unref(load_text(text));
    strcat(text, "secret_file = 512.txt\n");
    expect_messages(text, "rollcall.conf:16: more than 8 secrets\n");
}

/* Ranges at their bound, and one more. */
static void test_allow_from_bound(void **state) {
    static char text[32768];
    char line[64];
    (void)state;
    strcpy(text, IN_ENDPOINT);
    for (int i = 0; i < CONFIG_MAX_ALLOW_FROM; i++) {
        snprintf(line, sizeof(line), "allow_from = 10.0.0.%d\n", i);
        strcat(text, line);
    }
    struct config *config = load_text(text);
    assert_int_equal(config->endpoints->allow_from_count, CONFIG_MAX_ALLOW_FROM);
    config_unref(config);
    strcat(text, "allow_from = ::1\n");
    expect_messages(text, "rollcall.conf:265: more than 256 ranges in \"allow_from\"\n");
}

static char *check_reload(const char *now_text, const char *next_text, int expected) {
    struct config *now = load_text(now_text), *next = load_text(next_text);
    char *messages;
    size_t len;
    FILE *errors = open_memstream(&messages, &len);
    assert_non_null(errors);
    assert_int_equal(config_check_reload(now, next, "c", errors), expected);
    fclose(errors);
    config_unref(now);
    config_unref(next);
    return messages;
}

/* What a running node can take over, and what only a restart changes. */
static void test_reload(void **state) {
    (void)state;
    char *messages =
        check_reload(IN_SERVER,
                     SERVER "max_connections = 5\nheader_timeout = 1s\n[dedupe]\nmode = mark\n"
                            "window = 1h\n[log]\nlevel = debug\n[endpoint other]\npath = /other\n"
                            "provider = aerohive\nsecret = x\n",
                     0);
    assert_string_equal(messages, "");
    free(messages);
    messages = check_reload(IN_SERVER,
                            IN_SERVER "socket_mode = 0600\nlisten = 127.0.0.1:1\nreuse_port = yes\n"
                                      "[ring]\nsize = 1M\n[dedupe]\nmax_ids = 5\n",
                            CONFIG_INVALID);
    assert_string_equal(messages,
                        "c: \"listen\" in [server] changes only when the node is restarted\n"
                        "c: \"socket_mode\" in [server] changes only when the node is restarted\n"
                        "c: \"reuse_port\" in [server] changes only when the node is restarted\n"
                        "c: \"size\" in [ring] changes only when the node is restarted\n"
                        "c: \"max_ids\" in [dedupe] changes only when the node is restarted\n");
    free(messages);
}

static void test_line_bound(void **state) {
    char text[8192];
    (void)state;
    snprintf(text, sizeof(text), IN_SERVER "socket_group = x ;%4078s\n", "");
    assert_int_equal(strlen(strstr(text, "socket_group")), 4096 + 1);
    config_unref(load_text(text));
    snprintf(text, sizeof(text), IN_SERVER "socket_group = x ;%4079s\nsocket_mode = 9\n", "");
    expect_messages(text, "rollcall.conf:9: the line is longer than 4096 bytes\n"
                          "rollcall.conf:10: \"socket_mode\" must be an octal file mode from 0000 "
                          "to 0777, such as 0660, not \"9\"\n");
}

static void test_file_bound(void **state) {
    size_t bound = 1024 * 1024, head = strlen(IN_SERVER);
    char *text = malloc(bound + 1);
    (void)state;
    assert_non_null(text);
    memset(text, '\n', bound + 1);
    memcpy(text, IN_SERVER, head);
    expect_messages_of(text, bound, "");
    text[bound] = ';';
    char expected[128];
    snprintf(expected, sizeof(expected),
             "rollcall.conf:%zu: the file is larger than 1 MiB: this is no configuration\n",
             8 + (bound - head) + 1);
    expect_messages_of(text, bound + 1, expected);
    free(text);
}

static void test_value_bounds(void **state) {
    char text[16384];
    struct config *config;
    (void)state;

    /* A path of 1024 bytes, and one more. */
    snprintf(text, sizeof(text),
             SERVER "[endpoint b]\npath = /" TEN(HUNDRED("p"))
                 TEN("pp") "ppp\nprovider = json\nauth = none\n");
    config = load_text(text);
    assert_int_equal(strlen(config->endpoints->path), 1024);
    config_unref(config);
    expect_messages(SERVER "[endpoint b]\npath = /" TEN(HUNDRED("p"))
                        TEN("pp") "pppp\nprovider = json\nauth = none\n",
                    "rollcall.conf:6: \"path\" is longer than 1024 bytes\n");

    /* A secret of 512 bytes, and one more. */
#define TOKEN_ENDPOINT SERVER "[endpoint b]\npath = /b\nprovider = json\nauth = token\n"
    config = load_text(TOKEN_ENDPOINT "secret = " HUNDRED("secre") "twelve bytes\n");
    assert_int_equal(config->endpoints->secrets[0]->len, 512);
    config_unref(config);
    expect_messages(TOKEN_ENDPOINT "secret = " HUNDRED("secre") "twelve bytes.\n",
                    "rollcall.conf:9: \"secret\" has 513 bytes; 1 to 512 are allowed\n");

    /* Eight secrets, and one more. */
#define FOUR_SECRETS "secret = a\nsecret = b\nsecret = c\nsecret = d\n"
    config = load_text(TOKEN_ENDPOINT FOUR_SECRETS FOUR_SECRETS);
    assert_int_equal(config->endpoints->secret_count, CONFIG_MAX_SECRETS);
    config_unref(config);
    expect_messages(TOKEN_ENDPOINT FOUR_SECRETS FOUR_SECRETS "secret = e\n",
                    "rollcall.conf:17: more than 8 secrets\n");

    /* A name of 64 bytes (of 65: among the mistakes), longer than inih's sections. */
    config = load_text(SERVER "[endpoint " TEN("abcdef") "abcd]\npath = /b\nprovider = json\n"
                                                         "auth = none\n");
    assert_int_equal(strlen(config->endpoints->name), 64);
    config_unref(config);

    /* A socket of 107 bytes, and one more. */
    config = load_text(LAB "[server]\ncertificate = cert.pem\nprivate_key = key.pem\n"
                           "socket = /" HUNDRED("s") "ssssss\n");
    assert_int_equal(strlen(config->socket), 107);
    config_unref(config);
    expect_messages(LAB "[server]\ncertificate = cert.pem\nprivate_key = key.pem\n"
                        "socket = /" HUNDRED("s") "sssssss\n",
                    "rollcall.conf:8: \"socket\" has 108 bytes; a Unix socket's path holds 107\n");

    /* Sixteen addresses, and one more. */
    strcpy(text, IN_SERVER);
    for (int i = 0; i < CONFIG_MAX_LISTEN; i++)
        strcat(text, "listen = 127.0.0.1:0\n");
    config = load_text(text);
    assert_int_equal(config->listen_count, CONFIG_MAX_LISTEN);
    config_unref(config);
    strcat(text, "listen = 127.0.0.1:0\n");
    expect_messages(text, "rollcall.conf:25: more than 16 \"listen\" lines\n");

    /* A value of 8191 bytes with the environment put in, and one more. */
    char big[8192];
    memset(big, 'b', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(setenv("ROLLCALL_TEST_BIG", big, 1), 0);
    config = load_text(IN_SERVER "socket_group = ${ROLLCALL_TEST_BIG}\n");
    assert_string_equal(config->socket_group, big);
    config_unref(config);
    expect_messages(IN_SERVER "socket_group = ${ROLLCALL_TEST_BIG}b\n",
                    "rollcall.conf:9: \"socket_group\" is longer than 8191 bytes\n");
}

/* Numbers at their bounds; one past is among the mistakes or here. */
static void test_number_bounds(void **state) {
    (void)state;
    struct config *config =
        load_text(IN_SERVER "max_connections = 1\nmax_connections_per_ip = 1000000\n"
                            "header_timeout = 100ms\nbody_timeout = 60m\ndrain_timeout = 0s\n"
                            "max_header_bytes = 1024\nmax_body_bytes = 1G\nlisten = 0.0.0.0:65535\n"
                            "socket_mode = 0777\n[ring]\nsize = 64K\n");
    assert_int_equal(config->max_connections, 1);
    assert_int_equal(config->max_connections_per_ip, 1000000);
    assert_int_equal(config->header_timeout_ms, 100);
    assert_int_equal(config->body_timeout_ms, 3600000);
    assert_int_equal(config->drain_timeout_ms, 0);
    assert_int_equal(config->max_header_bytes, 1024);
    assert_int_equal(config->max_body_bytes, 1 << 30);
    assert_int_equal(config->listen[0].port, 65535);
    assert_int_equal(config->socket_mode, 0777);
    assert_int_equal(config->ring_size_bytes, RING_MIN_BYTES);
    config_unref(config);
    expect_messages(IN_SERVER "max_connections_per_ip = 1000001\nheader_timeout = 99ms\n"
                              "body_timeout = 3601s\nmax_header_bytes = 1023\n"
                              "max_body_bytes = 1073741825\n[ring]\nsize = 1025G\n"
                              "[dedupe]\nwindow = 999ms\nmax_ids = 0\nmode = Drop\n",
                    "rollcall.conf:9: \"max_connections_per_ip\" must be from 1 to 1000000, not "
                    "1000001\n"
                    "rollcall.conf:10: \"header_timeout\" must be from 100ms to 1h, not 99ms\n"
                    "rollcall.conf:11: \"body_timeout\" must be from 100ms to 1h, not 3601s\n"
                    "rollcall.conf:12: \"max_header_bytes\" must be from 1K to 1M, not 1023\n"
                    "rollcall.conf:13: \"max_body_bytes\" must be from 1 to 1G, not 1073741825\n"
                    "rollcall.conf:15: \"size\" must be from 64K to 1024G, not 1025G\n"
                    "rollcall.conf:17: \"window\" must be from 1s to 8760h, not 999ms\n"
                    "rollcall.conf:18: \"max_ids\" must be from 1 to 1000000000, not 0\n"
                    "rollcall.conf:19: \"mode\" must be drop, mark or off, not \"Drop\"; did "
                    "you mean \"drop\"?\n");
}

static void test_unreadable_file(void **state) {
    struct config *config;
    char *messages;
    (void)state;

    assert_int_equal(load(&config, "nowhere.conf", &messages), -ENOENT);
    assert_string_equal(messages, "nowhere.conf: cannot read the configuration: No such file or "
                                  "directory\n");
    assert_null(config);
    free(messages);
    assert_int_equal(load(&config, ".", &messages), -EISDIR);
    assert_string_equal(messages, ".: cannot read the configuration: Is a directory\n");
    free(messages);
}

/* Not inlined: gcc 12 would take the stream's pointer for one into this frame. */
__attribute__((noinline)) static char *dump(const struct config *config) {
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    config_dump(config, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_dump_masks_secrets(void **state) {
    (void)state;
    struct config *config = load_good(GOOD_FILE);
    char *text = dump(config);

    assert_null(strstr(text, "s3cret"));
    assert_null(strstr(text, "with = signs"));
    assert_non_null(strstr(text, "secret = ****\nsecret = ****\nsecret = ****\n"));
    free(text);
    config_unref(config);
}

/* With the secrets put back, a dump loads, to a configuration whose dump is the same; test_every_
 * field says that the file it came from has no key at its default. */
static void test_dump_loads_again(void **state) {
    (void)state;
    struct config *config = load_good(GOOD_FILE), *again;
    char *text = dump(config), *mask;

    for (int i = 0; (mask = strstr(text, "****")); i++)
        memcpy(mask, i == 0 ? "ab-0" : i == 1 ? "ab-1" : "ab-2", 4);
    char path[64];
    snprintf(path, sizeof(path), "%s/rollcall.conf", directory);
    write_file(path, text, strlen(text));
    free(text);
    again = load_good(path);
    check_secret(again->endpoints, 0, "ab-0");
    check_secret(again->endpoints, 2, "ab-2");
    assert_int_equal(again->endpoints->secret_count, 4);

    char *first = dump(config), *second = dump(again);
    assert_string_equal(first, second);
    free(first);
    free(second);
    config_unref(config);
    config_unref(again);
}

static void test_dump_of_defaults(void **state) {
    (void)state;
    struct config *config = load_text(SERVER LAB);
    char *text = dump(config);
    assert_string_equal(text, "[server]\n"
                              "listen = 0.0.0.0:8443\n"
                              "certificate = cert.pem\n"
                              "private_key = key.pem\n"
                              "client_ca =\n"
                              "socket = s.sock\n"
                              "socket_mode = 0660\n"
                              "socket_group =\n"
                              "max_connections = 10000\n"
                              "max_connections_per_ip = 1000\n"
                              "header_timeout = 10s\n"
                              "body_timeout = 30s\n"
                              "keepalive_timeout = 75s\n"
                              "drain_timeout = 10s\n"
                              "max_header_bytes = 32K\n"
                              "max_body_bytes = 8M\n"
                              "max_unauthenticated_body_bytes = 4M\n"
                              "max_unauthenticated_total = 64M\n"
                              "admin =\n"
                              "reuse_port = no\n"
                              "\n"
                              "[ring]\n"
                              "size = 64M\n"
                              "file =\n"
                              "sync = never\n"
                              "max_hold = 10m\n"
                              "\n"
                              "[dedupe]\n"
                              "window = 4h\n"
                              "max_ids = 1000000\n"
                              "mode = drop\n"
                              "\n"
                              "[privacy]\n"
                              "mac = plain\n"
                              "personal = keep\n"
                              "rotate = 24h\n"
                              "\n"
                              "[log]\n"
                              "level = info\n"
                              "format = logfmt\n"
                              "\n"
                              "[endpoint lab]\n"
                              "path = /lab\n"
                              "provider = json\n"
                              "auth = none\n"
                              "on_unreadable = refuse\n"
                              "allow_from =\n"
                              "rate_limit =\n"
                              "identity = sender\n"
                              "validator =\n");
    config_unref(load_text(text));
    free(text);
    config_unref(config);
}

static void test_sizes(void **state) {
    uint64_t value;
    (void)state;
    assert_int_equal(config_parse_size("0", &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(config_parse_size("32K", &value), 0);
    assert_int_equal(value, 32768);
    assert_int_equal(config_parse_size("3g", &value), 0);
    assert_int_equal(value, UINT64_C(3) << 30);
    assert_int_equal(config_parse_size("18446744073709551615", &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(config_parse_size("17179869183G", &value), 0);
    assert_true(value == UINT64_MAX - (1 << 30) + 1);
    assert_int_equal(config_parse_size("18446744073709551616", &value), CONFIG_VALUE_TOO_LARGE);
    assert_int_equal(config_parse_size("17179869184G", &value), CONFIG_VALUE_TOO_LARGE);
    const char *const malformed[] = {"", "K", "1T", "1 K", "1KB", "-1", "+1", "0x10", "1.5M", " 1"};
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_int_equal(config_parse_size(malformed[i], &value), CONFIG_VALUE_MALFORMED);
}

static void test_durations(void **state) {
    uint64_t value;
    (void)state;
    assert_int_equal(config_parse_duration("500ms", &value), 0);
    assert_int_equal(value, 500);
    assert_int_equal(config_parse_duration("5m", &value), 0);
    assert_int_equal(value, 300000);
    assert_int_equal(config_parse_duration("2H", &value), 0);
    assert_int_equal(value, 7200000);
    assert_int_equal(config_parse_duration("18446744073709551615ms", &value), 0);
    assert_int_equal(config_parse_duration("18446744073709551s", &value), 0);
    assert_int_equal(config_parse_duration("18446744073709552s", &value), CONFIG_VALUE_TOO_LARGE);
    const char *const malformed[] = {"", "5", "ms", "5 s", "5d", "1h30m", "5sec", "-5s"};
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_int_equal(config_parse_duration(malformed[i], &value), CONFIG_VALUE_MALFORMED);
}

static void test_formats(void **state) {
    const struct {
        uint64_t value;
        const char *size, *duration;
    } cases[] = {
        {0, "0", "0s"},
        {1, "1", "1ms"},
        {1000, "1000", "1s"},
        {1024, "1K", "1024ms"},
        {60000, "60000", "1m"},
        {3 << 20, "3M", "3145728ms"},
        {UINT64_MAX, "18446744073709551615", "18446744073709551615ms"},
    };
    char text[CONFIG_VALUE_TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        config_format_size(cases[i].value, text);
        assert_string_equal(text, cases[i].size);
        config_format_duration(cases[i].value, text);
        assert_string_equal(text, cases[i].duration);
    }
}

static void test_addresses(void **state) {
    struct config_address address = {.line = 7};
    char text[CONFIG_VALUE_TEXT_BYTES];
    (void)state;
    assert_int_equal(config_parse_address("[2001:db8::1]:65535", &address), 0);
    check_address(&address, "2001:db8::1", 65535, 7);
    config_format_address(&address, text);
    assert_string_equal(text, "[2001:db8::1]:65535");
    assert_int_equal(config_parse_address("127.0.0.1:0", &address), 0);
    check_address(&address, "127.0.0.1", 0, 7);
    assert_int_equal(config_parse_address("127.0.0.1:65536", &address), CONFIG_VALUE_TOO_LARGE);
    const char *const malformed[] = {
        "",
        ":",
        ":8443",
        "8443",
        "127.0.0.1",
        "127.0.0.1:",
        "[::1]",
        "[::1]:",
        "::1:8443",
        "[::1:8443",
        "[127.0.0.1]:1",
        "127.0.0.1:1 ",
        "[:1",
        "1.2.3:80",
        "127.0.0.1:http",
        "[]:1",
        "[fe80::1%lo]:80",
        "127.0.0.1:-1",
        "[" TEN("0000000") "]:1",
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_int_equal(config_parse_address(malformed[i], &address), CONFIG_VALUE_MALFORMED);
}

static void test_distances(void **state) {
    (void)state;
    assert_int_equal(config_word_distance("listen", "listen", 2), 0);
    assert_int_equal(config_word_distance("Listen", "listen", 2), 0);
    assert_int_equal(config_word_distance("listne", "listen", 2), 1);
    assert_int_equal(config_word_distance("lsten", "listen", 2), 1);
    assert_int_equal(config_word_distance("llisten", "listen", 2), 1);
    assert_int_equal(config_word_distance("lixxen", "listen", 2), 2);
    assert_int_equal(config_word_distance("", "listen", 2), 3);
    assert_int_equal(config_word_distance(TEN("abcdef") "abc", TEN("abcdef") "abc", 2), 0);
    assert_int_equal(config_word_distance(TEN("abcdef") "abcd", TEN("abcdef") "abcd", 2), 3);
}

#define IN_ROOT(test)      cmocka_unit_test_setup(test, enter_root)
#define IN_DIRECTORY(test) cmocka_unit_test_setup(test, enter_directory)

static void expect_auth(const char *provider, const char *lines, enum auth_scheme scheme,
                        const char *name, bool base64) {
    char text[1024];
    snprintf(text, sizeof text, "%s[endpoint e]\npath = /e\nprovider = %s\n%s", IN_SERVER, provider,
             lines);
    struct config *config = load_text(text);
    const struct config_endpoint *endpoint = config->endpoints;
    while (endpoint->next)
        endpoint = endpoint->next;
    assert_int_equal(endpoint->auth, scheme);
    assert_int_equal(endpoint->auth_base64, base64);
    if (name)
        assert_string_equal(endpoint->auth_name, name);
    else
        assert_null(endpoint->auth_name);
    config_unref(config);
}

static void test_auth_schemes(void **state) {
    (void)state;
    expect_auth("aerohive", "secret = s\n", AUTH_TOKEN, NULL, false);
    expect_auth("pubnub", "", AUTH_NONE, NULL, false);
    expect_auth("meraki", "secret = s\nvalidator = v\n", AUTH_BODY, "secret", false);
    expect_auth("json", "auth = none\n", AUTH_NONE, NULL, false);
    expect_auth("json", "auth = header X-Key\nsecret = s\n", AUTH_HEADER, "X-Key", false);
    expect_auth("json", "auth = basic  anna\nsecret = s\n", AUTH_BASIC, "anna", false);
    expect_auth("json", "auth = query token\nsecret = s\n", AUTH_QUERY, "token", false);
    expect_auth("json", "auth = body key\nsecret = s\n", AUTH_BODY, "key", false);
    expect_auth("json", "auth = hmac-sha256 X-Sig\nsecret = s\n", AUTH_HMAC_SHA256, "X-Sig", false);
    expect_auth("json", "auth = hmac-sha256 X-Sig hex\nsecret = s\n", AUTH_HMAC_SHA256, "X-Sig",
                false);
    expect_auth("json", "auth = hmac-sha256 X-Sig base64\nsecret = s\n", AUTH_HMAC_SHA256, "X-Sig",
                true);
    expect_auth("json", "auth = mist\nsecret = s\n", AUTH_MIST, NULL, false);
    expect_auth("json",
                "auth = standard-webhooks\nsecret = whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
                AUTH_STANDARD_WEBHOOKS, NULL, false);
}

static void expect_auth_mistake(const char *lines, const char *message) {
    char text[1024];
    snprintf(text, sizeof text, "%s[endpoint e]\npath = /e\nprovider = json\n%s", IN_SERVER, lines);
    struct config *config = NULL;
    char *messages;
    write_file("rollcall.conf", text, strlen(text));
    assert_int_equal(load(&config, "rollcall.conf", &messages), CONFIG_INVALID);
    if (!strstr(messages, message))
        fail_msg("%s", messages);
    free(messages);
}

static void test_auth_mistakes(void **state) {
    (void)state;
    expect_auth_mistake("auth = header\nsecret = s\n", "\"auth\" must be none, token, header NAME");
    expect_auth_mistake("auth = token x\nsecret = s\n", "\"auth\" must be none");
    expect_auth_mistake("auth = header a b\nsecret = s\n", "\"auth\" must be none");
    expect_auth_mistake("auth = hmac-sha256 a b\nsecret = s\n", "hex or base64, not \"b\"");
    expect_auth_mistake("auth = mist\n", "has no \"secret\"");
    expect_auth_mistake("auth = standard-webhooks\nsecret = whsec_%%%\n", "\"whsec_\" and base64");
    expect_auth_mistake("auth = body key\nsecret = s\non_unreadable = keep\n",
                        "it would get into events");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_ROOT(test_every_field),
        IN_DIRECTORY(test_defaults),
        IN_DIRECTORY(test_auth_schemes),
        IN_DIRECTORY(test_auth_mistakes),
        IN_DIRECTORY(test_mistakes),
        IN_DIRECTORY(test_all_mistakes_of_a_file),
        IN_DIRECTORY(test_unknown_provider_names_the_known),
        IN_DIRECTORY(test_lines),
        IN_DIRECTORY(test_credentials),
        IN_DIRECTORY(test_secrets_add_up),
        IN_DIRECTORY(test_allow_from_bound),
        IN_DIRECTORY(test_reload),
        IN_DIRECTORY(test_line_bound),
        IN_DIRECTORY(test_file_bound),
        IN_DIRECTORY(test_value_bounds),
        IN_DIRECTORY(test_number_bounds),
        IN_DIRECTORY(test_unreadable_file),
        IN_ROOT(test_dump_masks_secrets),
        IN_ROOT(test_dump_loads_again),
        IN_DIRECTORY(test_dump_of_defaults),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_distances),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
