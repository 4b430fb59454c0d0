"""Files that are opened, listed or looked for while the node runs."""

from __future__ import annotations

from tests.pipeline.keys.situations.situation import Situation, change, same

FILES = [
    Situation(
        "Opened",
        {
            "opend.py": """
                import csv
                import gzip
                import json
                import linecache
                import os
                import sqlite3
                from pathlib import Path

                HERE = Path(__file__).resolve().parent.parent / "files"

                def all_of_them():
                    with open(HERE / "a.txt") as file:
                        a = file.read()
                    b = (HERE / "b.txt").read_text()
                    with gzip.open(HERE / "c.gz", "rt") as file:
                        c = file.read()
                    with open(HERE / "d.csv", newline="") as file:
                        d = list(csv.reader(file))
                    with open(HERE / "e.json") as file:
                        e = json.load(file)
                    f = os.open(HERE / "f.bin", os.O_RDONLY)
                    got = os.read(f, 10).decode()
                    os.close(f)
                    return [a, b, c, d, e["used"], got, g()]

                def g():
                    return linecache.getline(str(HERE / "g.txt"), 1)
                """,
            "/files/a.txt": "a1",
            "/files/b.txt": "b1",
            "/files/c.gz": "GZIP c1",
            "/files/d.csv": "x,y\n",
            "/files/e.json": '{"used": 1}',
            "/files/f.bin": "f1",
            "/files/g.txt": "g1",
        },
        "from opend import all_of_them",
        "all_of_them()",
        [
            change("/files/a.txt", "a1", "a2"),
            change("/files/b.txt", "b1", "b2"),
            change("/files/c.gz", "GZIP c1", "GZIP c2"),
            change("/files/d.csv", "x,y", "x,z"),
            change("/files/e.json", '"used": 1', '"used": 2'),
            change("/files/f.bin", "f1", "f2"),
            change("/files/g.txt", "g1", "g2"),
            same("/files/not_opened.txt", None, "new"),
        ],
    ),
    Situation(
        "Pandas",
        {"/pandas/t.csv": "n\n1\n", "/pandas/u.txt": "1 2\n"},
        "import pandas\nimport numpy\nfrom pathlib import Path\nHERE = Path(__file__).parents[2] / 'pandas'",
        "[pandas.read_csv(HERE / 't.csv')['n'].tolist(), numpy.loadtxt(HERE / 'u.txt').tolist()]",
        [change("/pandas/t.csv", "1", "2"), change("/pandas/u.txt", "1 2", "3 4")],
    ),
    Situation(
        "Listed",
        {
            "listd.py": """
                import glob
                import os
                from pathlib import Path

                ROOT = Path(__file__).resolve().parent.parent

                def names():
                    one = sorted(os.listdir(ROOT / "one"))
                    two = sorted(os.path.basename(p) for p in glob.glob(str(ROOT / "two" / "*.txt")))
                    three = sorted(p.name for p in (ROOT / "three").rglob("*.txt"))
                    return [one, two, three, (ROOT / "four.txt").exists(), os.path.getsize(ROOT / "five.txt")]
                """,
            "/one/a.txt": "a",
            "/two/a.txt": "a",
            "/three/deep/a.txt": "a",
            "/five.txt": "five",
        },
        "from listd import names",
        "names()",
        [
            change("/one/b.txt", None, "b"),
            change("/two/b.txt", None, "b"),
            change("/three/deep/b.txt", None, "b"),
            same("/one/a.txt", "a", "another"),
            change("/three/deeper/c.txt", None, "c"),
            same("/elsewhere/new.txt", None, "x"),
        ],
    ),
    Situation(
        "Threads",
        {
            "thrd.py": """
                from concurrent.futures import ThreadPoolExecutor
                from pathlib import Path

                HERE = Path(__file__).resolve().parent.parent / "threads"

                def read(name):
                    return (HERE / name).read_text()

                def all_of_them():
                    with ThreadPoolExecutor(4) as pool:
                        return list(pool.map(read, [f"{n}.txt" for n in range(8)]))
                """,
            **{f"/threads/{n}.txt": "old" for n in range(8)},
        },
        "from thrd import all_of_them",
        "all_of_them()",
        [change(f"/threads/{n}.txt", "old", "new") for n in (3, 7)],
    ),
    Situation(
        "Workers",
        {
            "wrkr.py": """
                from pathlib import Path

                HERE = Path(__file__).resolve().parent.parent / "workers"

                def add(row):
                    import wrkr_inside
                    return {"y": wrkr_inside.found((HERE / f"{row['x'] % 2}.txt").read_text())}
                """,
            "wrkr_inside.py": "def found(text):\n    return text + '.'\n",
            "/workers/0.txt": "zero",
            "/workers/1.txt": "one",
        },
        "import wrkr\nimport datasets",
        "datasets.Dataset.from_dict({'x': [0, 1, 2, 3]}).map(wrkr.add, num_proc=2)['y'][:]",
        [
            change("/workers/1.txt", "one", "uno"),
            change("wrkr_inside.py", "text + '.'", "text + '!'"),
            change("/workers/0.txt", "zero", "nil"),
        ],
    ),
    Situation(
        "OwnFiles",
        {
            "ownf.py": """
                import os
                import tempfile
                from pathlib import Path

                OUT = Path(__file__).resolve().parent.parent / "written"

                def go():
                    OUT.mkdir(exist_ok=True)
                    (OUT / "out.txt").write_text("mine")
                    with tempfile.TemporaryDirectory() as folder:
                        (Path(folder) / "t.txt").write_text("t")
                        inside = os.listdir(folder)
                        text = (Path(folder) / "t.txt").read_text()
                    with tempfile.NamedTemporaryFile("w+") as file:
                        file.write("x")
                        file.flush()
                        other = open(file.name).read()
                    return [(OUT / "out.txt").read_text(), inside, text, other]
                """,
        },
        "from ownf import go",
        "go()",
        [same("/written/out.txt", "mine", "touched by a person"), change("ownf.py", '"mine"', '"ours"')],
    ),
]
