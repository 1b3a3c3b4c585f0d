"""Private database servers for the benchmarks: on a free port of loopback and a unix socket, in the run's folder, with default settings but
for memory, and the table that all of them hold."""

import os
import pathlib
import shutil
import subprocess

import measure

COLUMNS = 12


def find(program, *folders):
    for folder in [*folders, *os.environ["PATH"].split(":")]:
        path = pathlib.Path(folder) / program
        if os.access(path, os.X_OK):
            return path
    raise measure.Failed(f"{program} is not installed")


def unprivileged(user):
    """Servers refuse to run as root."""
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if os.getuid() == 0 else []


def own(folder, user):
    if os.getuid() == 0:
        shutil.chown(folder, user, user)
        # The way to it must be open as well.
        for parent in folder.parents:
            if parent.name.startswith("etlctl-bench-") or parent.parent.name.startswith("etlctl-bench-"):
                os.chmod(parent, 0o755)


class Postgres:
    """A server with the table `orders`."""

    def __init__(self, bench, rows):
        versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        programs = versions[-1] if versions else pathlib.Path("/usr/bin")
        folder = bench.folder("postgres")
        own(folder, "postgres")
        data = folder / "data"
        subprocess.run(
            [*unprivileged("postgres"), find("initdb", programs), "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd="/",
        )
        self.port = bench.free_port()
        self.folder = folder
        bench.serve(
            [*unprivileged("postgres"), find("postgres", programs), "-D", data, "-p", self.port, "-k", folder,
             "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_wal_size=4GB"],
            self.port,
        )
        self.psql = [find("psql", programs), "-X", "-q", "-h", folder, "-p", str(self.port), "-U", "postgres", "-d", "postgres",
                     "-v", "ON_ERROR_STOP=1"]
        self.url = f"postgres://postgres@/postgres?host={folder}&port={self.port}"
        self.tcp = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.run(
            f"""
            CREATE TABLE orders (id bigint PRIMARY KEY, customer_id integer NOT NULL, quantity smallint, status text, email text,
                note text, amount numeric(12,2), tax numeric, created_at timestamptz, updated_at timestamp, paid boolean,
                attributes jsonb);
            INSERT INTO orders SELECT n, (n::bigint * 7919) % 100000, n % 100,
                (ARRAY['new','paid','shipped','returned'])[1 + n % 4], 'customer' || (n::bigint * 7919) % 100000 || '@example.com',
                'Order ' || n || ', left at the door; ' || md5(n::text), (n % 100000) / 100.0, (n % 9973) * 0.0725,
                timestamptz '2024-01-01 00:00:00Z' + n * interval '31.415926 s', timestamp '2024-01-02' + n * interval '31.5 s',
                n % 3 = 0, jsonb_build_object('source', (ARRAY['web','app','shop'])[1 + n % 3], 'items', n % 7,
                'tags', jsonb_build_array('a' || n % 10, 'b'), 'price', (n % 1000) / 10.0)
            FROM generate_series(1, {rows}) n;
            VACUUM ANALYZE orders;
            """
        )

    def run(self, statements):
        subprocess.run(self.psql, input=statements.encode(), check=True, stdout=subprocess.DEVNULL)

    def copy(self):
        """The server's own copy of the table, in the order of its key, to nowhere."""
        return measure.run([*self.psql, "-c", "COPY (SELECT * FROM orders ORDER BY id) TO STDOUT"])


class MariaDB:
    """A server with the table `orders`."""

    def __init__(self, bench, rows):
        folder = bench.folder("mariadb")
        own(folder, "mysql")
        subprocess.run(
            [*unprivileged("mysql"), find("mariadb-install-db"), "--no-defaults", f"--datadir={folder}/data",
             "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, stdout=subprocess.DEVNULL, cwd="/",
        )
        self.port = bench.free_port()
        bench.serve(
            [*unprivileged("mysql"), find("mariadbd", "/usr/sbin", "/usr/libexec"), "--no-defaults", f"--datadir={folder}/data",
             f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={folder}/s", f"--pid-file={folder}/pid",
             "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=1G", "--skip-log-bin",
             "--character-set-server=utf8mb4", "--skip-name-resolve"],
            self.port,
        )
        self.client = [find("mariadb"), "--no-defaults", f"--socket={folder}/s", "--user=root", "--batch", "--skip-column-names",
                       "--default-character-set=utf8mb4"]
        self.run("CREATE DATABASE shop")
        self.client.append("shop")
        self.url = f"mysql://root@/shop?socket={folder}/s"
        self.run(
            f"""
            CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int NOT NULL, quantity smallint, status varchar(20),
                email varchar(100), note text, amount decimal(12,2), tax decimal(20,4), created_at timestamp(6) NULL,
                updated_at datetime(6), paid bit(1), attributes json);
            INSERT INTO orders SELECT seq, (seq * 7919) % 100000, seq % 100, elt(1 + seq % 4, 'new', 'paid', 'shipped', 'returned'),
                concat('customer', (seq * 7919) % 100000, '@example.com'), concat('Order ', seq, ', left at the door; ', md5(seq)),
                (seq % 100000) / 100, (seq % 9973) * 0.0725, '2024-01-01' + INTERVAL seq * 31.415926 SECOND,
                '2024-01-02' + INTERVAL seq * 31.5 SECOND, seq % 3 = 0, json_object('source', elt(1 + seq % 3, 'web', 'app', 'shop'),
                'items', seq % 7, 'tags', json_array(concat('a', seq % 10), 'b'), 'price', (seq % 1000) / 10)
            FROM seq_1_to_{rows};
            """
        )

    def run(self, statements):
        subprocess.run(self.client, input=statements.encode(), check=True, stdout=subprocess.DEVNULL)

    def dump(self):
        """The vendor's own client, unbuffered, to nowhere."""
        return measure.run([*self.client, "--quick", "-e", "SELECT * FROM orders ORDER BY id"])
