"""A memory cgroup for one process: version 2 or 1, whichever this machine has and lets us write to."""
import os
import tempfile

V1, V2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
V1_LIMIT, V2_LIMIT = "memory.limit_in_bytes", "memory.max"


def place():
    """The folder that groups can be made in, and the name of the limit's file; or None."""
    for folder, limit, sign in ((V1, V1_LIMIT, V1_LIMIT), (V2, V2_LIMIT, "cgroup.subtree_control")):
        try:
            with open(os.path.join(folder, sign)) as file:
                has_memory = limit == V1_LIMIT or "memory" in file.read().split()
        except OSError:
            continue
        if has_memory and os.access(folder, os.W_OK):
            return folder, limit
    return None


class Cgroup:
    """With a limit in bytes, kernel memory included: past it the kernel ends what runs inside. `under` is put
    in front of a command. Where no group can be made, nothing is, and `is_there` says so."""

    def __init__(self, limit_bytes):
        self.folder, self.under, found = None, (), place()
        if not found:
            return
        try:
            self.folder = tempfile.mkdtemp(prefix="rollcall-", dir=found[0])
            with open(os.path.join(self.folder, found[1]), "w") as file:
                file.write("%d" % limit_bytes)
        except OSError:  # a container's, mounted to be read
            self.close()
            return
        self.under = ("sh", "-c", 'echo $$ >"$0" && exec "$@"',
                      os.path.join(self.folder, "cgroup.procs"))

    @property
    def is_there(self):
        return self.folder is not None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        if self.folder:
            os.rmdir(self.folder)
            self.folder = None
