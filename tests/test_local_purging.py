"""What has expired leaves the disk while the server runs."""

from datetime import timedelta
from io import StringIO
from pathlib import Path

from local.purging import PURGE_SECONDS, purge
from moderato.sqlite import SqliteStore
from tests.records import decision, logger_to
from tests.stores import MovableClock


def test_an_hour_later_what_has_expired_is_gone_from_the_disk(tmp_path: Path) -> None:
    clock = MovableClock()
    store = SqliteStore(tmp_path / "moderato.db", clock)
    expires = int((clock() + timedelta(days=1)).timestamp())
    store.record_decisions(
        [decision(text="MARKER-OLD", expires=expires), decision(decision_id="d_2", text="MARKER-NEW")]
    )
    clock.now += timedelta(days=2)
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return len(waited) == 2

    purge(store, logger_to(StringIO()), wait)
    assert waited == [PURGE_SECONDS, PURGE_SECONDS]
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (b"MARKER-OLD" in content, b"MARKER-NEW" in content) == (False, True)
    store.close()
