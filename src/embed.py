"""Makes a C array of a file: embed.py FILE NAME > FILE.c. The bytes are NAME, and there are NAME_len."""
import sys

path, name = sys.argv[1:]
with open(path, "rb") as source:
    data = source.read()
print('#include "schema.h"\n')
print("const char %s[] = {" % name)
for start in range(0, len(data), 20):
    print("    " + " ".join("%d," % byte for byte in data[start:start + 20]))
print("};\nconst size_t %s_len = %d;" % (name, len(data)))
