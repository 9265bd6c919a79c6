"""Makes C of the page's parts: embed_page.py FILE... > page_parts.c. The table is page_parts (page.h);
index.html is the path "/"."""
import gzip
import hashlib
import os
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def array(name, data):
    lines = ["static const char %s[] = {" % name]
    for start in range(0, len(data), 20):
        lines.append("    " + " ".join("%d," % (byte - 256 * (byte > 127)) for byte in data[start:start + 20]))
    return "\n".join(lines) + "\n};\n"


def headers(etag, more=""):
    fields = "Cache-Control: no-cache\\r\\nVary: Accept-Encoding\\r\\nETag: %s\\r\\n" % etag
    return '"%s%s"' % (fields, more)


rows = []
print('#include "page.h"\n')
for number, path in enumerate(sys.argv[1:]):
    name = os.path.basename(path)
    with open(path, "rb") as source:
        data = source.read()
    packed = gzip.compress(data, 9, mtime=0)
    digest = hashlib.sha256(data).hexdigest()[:32]
    etag, gzip_etag = '\\"%s\\"' % digest, '\\"%s-gzip\\"' % digest
    print(array("bytes_%d" % number, data))
    print(array("gzip_%d" % number, packed))
    rows.append('    {"%s", "%s", "%s", %s, "%s", %s, bytes_%d, gzip_%d, %d, %d},' % (
        "/" if name == "index.html" else "/" + name, TYPES[os.path.splitext(name)[1]], etag, headers(etag),
        gzip_etag, headers(gzip_etag, "Content-Encoding: gzip\\r\\n"), number, number, len(data), len(packed)))
print("const struct page_part page_parts[] = {\n%s\n    {0},\n};" % "\n".join(rows))
