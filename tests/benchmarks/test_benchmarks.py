"""Every benchmark runs, small, and reports what its readers rely on."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.funded import SEED, signing_keys
from benchmarks.measure import Spread, Stopwatch, percentiles
from benchmarks.mix import KINDS, mixed
from benchmarks.network.overload import recovered
from benchmarks.network.run import highest
from benchmarks.network.watch import Chain, backlog, growth_per_second
from benchmarks.page import RESULTS
from cccnode.city import CITY
from cccnode.types.transaction import account_id

COMMON = {"schema", "name", "commit", "machine", "command", "repetitions"}
SMALL = {
    "signatures": ["--count", "8", "--batches", "1", "8", "--bad", "0.5"],
    "block_validation": ["--accounts", "20", "--transactions", "10", "--signers", "5"],
    "state_commit": ["--groups", "100", "--updates", "10", "--depth", "8"],
}


def last_line(output: str) -> dict:
    return json.loads(output.strip().splitlines()[-1])


@pytest.mark.parametrize("name", SMALL)
def test_small_run_reports(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A benchmark prints a table and, as its last line, JSON with the common keys and its cost by stage."""
    code = main([name, "--json", "--repetitions", "1", *SMALL[name]])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert COMMON <= result.keys()
    assert result["name"] == name
    assert result["repetitions"] == 1
    assert all(spread["median"] >= spread["min"] for spread in result["cpu_us_per_tx"].values())


def test_block_validation_names_its_stages(capsys: pytest.CaptureFixture[str]) -> None:
    """The path of a block is reported stage by stage, the sum last."""
    main(["block_validation", "--json", "--repetitions", "1", *SMALL["block_validation"]])

    result = last_line(capsys.readouterr().out)
    assert list(result["cpu_us_per_tx"]) == ["decode", "verify", "execute", "stage", "commit", "adopt", "total"]
    assert {"accounts", "tx_per_s", "pynacl_verifies_per_tx", "index_us_per_tx"} <= result.keys()


@pytest.mark.timeout(120)
def test_network_is_loaded_and_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Four processes take a small load: what is acknowledged is executed once, roots are equal, money is conserved."""
    arguments = [
        "--accounts",
        "40",
        "--signers",
        "20",
        "--rate",
        "60",
        "--seconds",
        "2",
        "--warm-up",
        "1",
        "--batch",
        "10",
    ]
    code = main(["network", "--json", "--sample", "20", *arguments])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert COMMON <= result.keys()
    assert result["roots_equal"]
    assert result["supply_conserved"]
    assert result["every_acknowledged_executed_once"]
    assert result["refused"] == 0
    assert {"verify", "execute", "stage", "commit", "total"} <= result["cpu_us_per_tx_per_node"].keys()
    assert {"p50", "p99"} <= result["finality_ms"].keys()
    assert len(result["rss_mb_per_node"]) == 4
    assert len(result["steps"]) == 1
    assert min(result["disk_bytes_per_tx_per_node"], result["wire_bytes_per_tx_per_node"]) > 0
    assert result["cpu_pynacl_verifies"] > 0


@pytest.mark.timeout(120)
def test_the_city_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of message alone, the mix, and the mix on four validators, where all that was acknowledged happened."""
    blocks = ["--records", "400", "800", "--transactions", "20"]
    load = ["--accounts", "200", "--rate", "60", "--seconds", "2", "--warm-up", "1", "--batch", "10"]
    code = main(["city", "--json", "--repetitions", "1", "--signers", "150", "--sample", "20", *blocks, *load])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert COMMON <= result.keys()
    assert set(result["cpu_us_per_message"]) == {*KINDS, "mix"}
    assert {"decode", "verify", "execute", "apply"} <= result["cpu_us_per_message"]["order"].keys()
    assert set(result["apply_us_against_fewest_records"]) == {*KINDS, "mix"}
    assert [case["records"] for case in result["cases"]] == [400, 800]
    assert (result["every_acknowledged_executed_once"], result["roots_equal"], result["refused"]) == (True, True, 0)


def test_the_mix_is_what_it_says() -> None:
    """Of any hundred transactions 60 are transfers, 20 orders, 10 provenance and 10 votes; all take part."""
    owners = [(account_id(key.public_key), key) for key in signing_keys(200, SEED)]
    signed = mixed(
        chain=bytes(32), owners=owners, accounts=[owners[0][0]], count=4_000, first=300, valid_until_ms=10**12
    )
    sent = [(type(row.messages[0]).__name__, row.account) for row in (CITY.decode(raw) for _, raw in signed)]
    kinds = Counter(kind for kind, _ in sent)
    assert kinds == {"BankTransfer": 2_400, "MktOrder": 800, "PrvCreateLot": 200, "PrvEvent": 200, "GovVote": 400}
    senders = {kind: len({account for one, account in sent if one == kind}) for kind in kinds}
    assert min(senders.values()) > 60, "no kind is left to a few"
    assert len({tx_id for tx_id, _ in signed}) == 4_000


@pytest.mark.timeout(120)
def test_a_wiped_validator_catches_up(capsys: pytest.CaptureFixture[str]) -> None:
    """It fetches and executes what the others decided, to the same root; rate and cost are reported."""
    load = ["--transactions", "300", "--rate", "150", "--batch", "10"]
    code = main(["catch_up", "--json", "--accounts", "40", "--signers", "20", *load])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert COMMON | {"tx_per_s", "blocks_per_s", "loop_bound_tx_per_s", "rss_mb"} <= result.keys()
    assert result["roots_equal"]
    assert result["accounts"] == 40
    assert result["refused"] == 0
    assert {"decode", "execute", "stage", "commit", "total"} <= result["cpu_us_per_tx"].keys()


@pytest.mark.timeout(120)
def test_an_export_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Every transaction is in the tables; rows a second, lag and memory are reported."""
    load = ["--transactions", "200", "--fill-rate", "200", "--rate", "50", "--seconds", "2", "--batch", "10"]
    code = main(["export", "--json", "--accounts", "40", "--signers", "20", *load])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert COMMON | {"rows_per_s", "tx_per_s", "rss_peak_mb"} <= result.keys()
    assert (result["missing"], result["transactions"] + result["refused"] >= 200) == (0, True)
    assert result["lag_ms"]["max"] > 0
    assert result["rows"] >= 3 * 200 + result["blocks"]
    assert {"p50", "max"} <= result["lag_blocks"].keys()
    assert result["lag_ms"]["max"] > 0


@pytest.mark.timeout(120)
def test_events_are_delivered(capsys: pytest.CaptureFixture[str]) -> None:
    """Every subscriber, slow or cut off, gets each event exactly once; processor time and memory are reported."""
    load = ["--rate", "40", "--seconds", "4", "--subscribers", "8", "--disconnect-s", "1", "--accounts", "40"]
    code = main(["events", "--json", "--signers", "20", *load])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert COMMON | {"events_per_s", "node_core_share", "rss_peak_mb"} <= result.keys()
    assert result["events"] >= 160 - result["refused"]
    assert (result["exactly_once"], result["slow_exactly_once"]) == (8, 1)
    assert result["connections"] > 8


@pytest.mark.timeout(180)
def test_a_peer_joins_at_a_snapshot(capsys: pytest.CaptureFixture[str]) -> None:
    """Though one server lies, one dies and it is killed twice: the same state, and nothing is executed twice."""
    load = ["--transactions", "400", "--rate", "100", "--signers", "20"]
    code = main(["join", "--json", "--accounts", "2000", "--blocks", "10", "--hostile", *load])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert COMMON | {"accounts", "seconds", "rss_mb", "serving_rss_growth_mb"} <= result.keys()
    assert result["verified"]
    assert result["roots_equal"]
    assert result["sent_again_refused"]


@pytest.mark.timeout(180)
def test_an_overloaded_network_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that is offered is answered, by a refusal with a name or by a transaction executed once."""
    load = ["--rate", "60", "--seconds", "4", "--warm-up", "1", "--batch", "10"]
    code = main(["network", "--overload", "--json", "--accounts", "40", "--signers", "20", "--sample", "20", *load])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert result["every_acknowledged_executed_once"]
    assert (result["unanswered"], result["crashed"]) == (0, 0)
    assert result["offered_in_all"] == result["acknowledged_in_all"] + sum(result["refusals_in_all"].values())
    assert len(result["rss_mb_highest"]) == 4
    assert [step["step"] for step in result["steps"]] == ["60", "30", "120"]


@pytest.mark.timeout(180)
def test_a_flooding_peer_is_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every validator hangs up on it and refuses its next dials; what others sent is executed once, nothing of its."""
    picture = tmp_path / "steps.svg"
    load = ["--rate", "60", "--seconds", "4", "--warm-up", "1", "--batch", "10"]
    size = ["--accounts", "40", "--signers", "20", "--sample", "20", "--svg", str(picture)]
    code = main(["network", "--flood", "--json", *size, *load])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert result["every_acknowledged_executed_once"]
    assert result["flood"]["cut_off"] >= 4
    assert result["flood"]["refused_dials"] > 0
    assert [step["step"] for step in result["steps"]] == ["60", "60"]
    assert "finality at another node" in picture.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ([(0.1, 5.0), (1.2, 5.0)], 0.0),
        ([(0.1, 50.0), (1.2, 5.0), (1.5, 5.0), (1.7, 50.0)], 1.0),
        ([(0.1, 5.0), (3.2, 50.0), (4.0, 5.0)], 4.0),
        ([(0.1, 5.0), (3.2, 50.0)], None),
        ([], None),
    ],
)
def test_recovered_when_every_later_second_is_as_usual(after: list[tuple[float, float]], seconds: float | None) -> None:
    """One slow probe among several is noise; a slow second at the end, or no probe at all, is no recovery."""
    assert recovered(after, 10.0) == seconds


def test_kept_results_make_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Every file of benchmarks/results is on it, with the command that measured it."""
    assert main(["page"]) == 0

    page = capsys.readouterr().out
    files = sorted(RESULTS.glob("*.json"))
    assert files
    assert all(f"{file.stem}: python -m benchmarks" in page for file in files)


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of every benchmark ends with a command that can be copied."""
    for name in (*SMALL, "network", "catch_up"):
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert f"python -m benchmarks {name}" in capsys.readouterr().out


def test_percentiles_by_nearest_rank() -> None:
    """p99 of a hundred values is the 99th; of nothing it is nothing."""
    assert percentiles([float(value) for value in range(1, 101)]) == {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    assert percentiles([])["p50"] is None


def test_spread_is_least_and_middle() -> None:
    """Noise only adds, so the best repetition stands beside the median."""
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(1.0, 2.0)


def test_stopwatch_adds_up_stages() -> None:
    """A repetition's total is the sum of its stages."""
    watch = Stopwatch()
    for figure in (1.0, 3.0):
        watch.note("decode", figure)
        watch.note("verify", 2 * figure)
        watch.end()

    assert watch.spreads()["total"] == Spread(3.0, 6.0)


def test_backlog_grows_when_blocks_fall_behind() -> None:
    """The backlog counts what the slowest node has not executed, and its growth is per second."""
    chain = Chain(totals=[0, 10, 20, 30], times_ms=[0, 1, 2, 3])
    samples = [(float(at), (at, at + 1), 20 * at) for at in range(3)]

    backlogs = backlog(samples, chain, 0, 0)

    assert backlogs == [0, 10, 20]
    assert growth_per_second(samples, backlogs) == 10


@pytest.mark.parametrize("limit", [100, 300, 999, 1_000, 2_650, 17_000])
def test_the_search_ends_below_the_limit_and_near_it(limit: int) -> None:
    """What is handed to the long steps was kept up with, and little more was not."""
    tried: list[float] = []

    async def keeps_up(rate: float) -> bool:
        tried.append(rate)
        return rate <= limit

    found = asyncio.run(highest(keeps_up))

    assert len(tried) == len(set(tried)) <= 15
    assert found <= max(limit, 250)
    assert found * 1.08 > limit


@pytest.mark.timeout(120)
def test_memory_is_weighed_with_a_full_window(capsys: pytest.CaptureFixture[str]) -> None:
    """A node takes up the chain that it is given, remembers every id of it, and says what it weighs."""
    code = main(["memory", "--json", "--accounts", "40", "--window", "12000"])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert COMMON <= result.keys()
    assert result["window_ids"] == 12_000
    assert 0 < result["file_mb"] < result["rss_mb"] <= result["peak_mb"] + 1


@pytest.mark.timeout(180)
def test_endurance_small(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A short endurance run: everything is executed once, snapshots are taken beside it, and the picture is drawn."""
    monkeypatch.setattr("benchmarks.endurance._SNAPSHOTS", 1)
    picture = tmp_path / "endurance.svg"
    load = ["--accounts", "40", "--signers", "20", "--transactions", "600", "--rate", "60", "--warm-up", "1"]
    code = main(["endurance", "--json", "--batch", "10", "--keep", "60s", "--svg", str(picture), *load])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert result["every_acknowledged_executed_once"]
    assert result["roots_equal"]
    assert "quiet" in result["finality_ms"]
    assert {"quiet", "snapshot", "backup"} <= result["lasted_s"].keys(), "a busy machine does them after the load"
    assert len(result["rss_mb"]["first_quarter"]) == len(result["open_files"]["last_quarter"]) == 4
    assert "RSS" in picture.read_text(encoding="utf-8")


@pytest.mark.timeout(170)
def test_rpc_is_loaded_and_abused(capsys: pytest.CaptureFixture[str]) -> None:
    """Every phase is measured; the port still answers after the last, and the load says what it took itself."""
    small = ["--seconds", "1.5", "--accounts", "40", "--reads", "50", "--submits", "50", "--batch", "5"]
    code = main(["rpc", "--json", *small, "--sockets", "20", "--connections", "40"])

    result = last_line(capsys.readouterr().out)
    assert code == 0
    assert {"quiet", "reads", "submits", "idle sockets", "slowloris", "costly queries"} < set(result["phases"])
    assert result["phases"]["reads"]["per_s"] > 10
    assert all("generator_cores" in phase for phase in result["phases"].values())
