"""What becomes of jobs, over a source of pages in this process and a real folder."""

import asyncio
import errno
from pathlib import Path

import pytest

from deployments.errors import (
    CorruptPage,
    EngineUnavailable,
    GenerationFailed,
    JobNotFound,
    QueueFull,
    StageLost,
)
from serve_app.bulk.store import Store
from serve_app.jobs import reading
from serve_app.jobs.models import JobRecord, JobState, JobStatus, is_id, new_id
from serve_app.jobs.store import JobStore
from tests.jobs.fakes import DOCUMENT, FakeSource, ended, finished, new_record, running, true, until

pytestmark = pytest.mark.anyio


def page_files(folder: Path, id_: str) -> list[str]:
    return sorted(path.name for path in (folder / id_ / "pages").glob("*"))


def ended_pages(status: JobStatus) -> int:
    return status.pages.done + status.pages.failed


async def test_a_job_is_read_and_its_pages_are_kept(tmp_path: Path) -> None:
    source = FakeSource()
    async with running(tmp_path, source) as runner:
        record = new_record(5, pages="0,2-4")
        record.total = 4
        status = await runner.submit(record, DOCUMENT)
        assert status.state is JobState.QUEUED
        assert status.pages.total == 4
        status = await ended(runner, record.id)
    assert status.state is JobState.DONE
    assert (status.pages.done, status.pages.failed) == (4, 0)
    assert status.started_at is not None
    assert status.ended_at is not None
    assert source.documents == [DOCUMENT]
    assert page_files(tmp_path, record.id) == [f"{index:06d}.done.json" for index in (0, 2, 3, 4)]
    assert (tmp_path / record.id / "document").read_bytes() == DOCUMENT


async def test_pages_that_fail_leave_the_others_whole(tmp_path: Path) -> None:
    source = FakeSource(errors={1: [CorruptPage("torn")]})
    async with running(tmp_path, source) as runner:
        status = await finished(runner, new_record(3))
    assert (status.state, status.pages.done, status.pages.failed) == (JobState.DONE, 2, 1)
    assert status.error is None


async def test_a_job_without_a_page_has_failed(tmp_path: Path) -> None:
    source = FakeSource(errors={0: [CorruptPage("torn")], 1: [GenerationFailed("no")]})
    async with running(tmp_path, source) as runner:
        status = await finished(runner, new_record(2))
    assert status.state is JobState.FAILED
    assert status.error is not None
    assert status.error.code == "corrupt_page"


async def test_what_passes_is_waited_for(tmp_path: Path) -> None:
    source = FakeSource(errors={0: [EngineUnavailable("starting"), StageLost("died"), QueueFull("full")]})
    async with running(tmp_path, source) as runner:
        status = await finished(runner, new_record(1))
    assert status.state is JobState.DONE
    assert source.read[0] == 4


async def test_but_not_for_ever(tmp_path: Path) -> None:
    source = FakeSource(errors={0: [StageLost("died")] * 9})
    async with running(tmp_path, source, page_attempts=3) as runner:
        status = await finished(runner, new_record(1))
    assert status.error is not None
    assert status.error.code == "stage_lost"
    assert source.read[0] == 3


async def test_no_more_pages_than_places_are_under_way(tmp_path: Path) -> None:
    source = FakeSource(gate=asyncio.Semaphore(0))
    async with running(tmp_path, source, workers=3) as runner:
        record = new_record(20)
        await runner.submit(record, DOCUMENT)
        for count in range(20):
            await until(runner, record.id, lambda status, count=count: status.pages.done == count)
            source.gate.release()
        await ended(runner, record.id)
    assert source.most_under_way == 3


@pytest.mark.parametrize("graceful", [True, False])
async def test_after_a_restart_nothing_is_lost_and_nothing_read_twice(tmp_path: Path, graceful: bool) -> None:
    first = FakeSource(gate=asyncio.Semaphore(7))
    records = [new_record(6), new_record(6), new_record(6)]
    async with running(tmp_path, first, workers=2, max_running=2) as runner:
        for record in records:
            await runner.submit(record, DOCUMENT)
        await true(lambda: sum(len(page_files(tmp_path, record.id)) for record in records) == 7)
        if not graceful:
            # What a killed process leaves: its claim, and files half written.
            await runner.close()
            (tmp_path / "owner.json").write_text('{"owner": "killed", "beats": 9}')
            (tmp_path / records[0].id / "pages" / ".abc.tmp").write_text("half a pa")
            (tmp_path / new_id() / "pages").mkdir(parents=True)
    stored = {record.id: page_files(tmp_path, record.id) for record in records}
    second = FakeSource()
    async with running(tmp_path, second) as runner:
        for record in records:
            status = await ended(runner, record.id)
            assert (status.state, status.pages.done) == (JobState.DONE, 6)
        assert len((await runner.newest("", None, 10)).data) == 3
    assert second.read.total() == 18 - 7
    for record in records:
        names = [f"{index:06d}.done.json" for index in range(6)]
        assert [name for name in page_files(tmp_path, record.id) if not name.startswith(".")] == names
        assert set(stored[record.id]) <= {*names, ".abc.tmp"}


async def test_a_job_that_ended_stays_as_it_is_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, FakeSource(errors={1: [CorruptPage("torn")]})) as runner:
        record = new_record(2)
        before = await finished(runner, record)
    source = FakeSource()
    async with running(tmp_path, source) as runner:
        assert await runner.status(record.id, "") == before
    assert not source.read


async def test_a_submission_that_is_repeated_makes_one_job(tmp_path: Path) -> None:
    async with running(tmp_path, FakeSource()) as runner:
        record = new_record(1)
        await finished(runner, record)
        again = await runner.submit(record, DOCUMENT)
        assert again.state is JobState.DONE
        assert len((await runner.newest("", None, 10)).data) == 1


async def test_one_of_two_runners_works(tmp_path: Path) -> None:
    source, other = FakeSource(gate=asyncio.Semaphore(0)), FakeSource()
    async with running(tmp_path, source) as first:
        record = new_record(2)
        await first.submit(record, DOCUMENT)
        async with running(tmp_path, other, stale_s=0.5, patience_s=0.3) as second:
            with pytest.raises(EngineUnavailable):
                await second.status(record.id, "")
            assert not other.read
            await first.close()
            assert (await ended(second, record.id)).state is JobState.DONE
    assert other.read.total() == 2


async def test_a_runner_whose_claim_was_taken_over_steps_down(tmp_path: Path) -> None:
    source = FakeSource(gate=asyncio.Semaphore(0))
    async with running(tmp_path, source) as runner:
        record = new_record(2)
        await runner.submit(record, DOCUMENT)
        await source.begun.wait()
        (tmp_path / "owner.json").write_text('{"owner": "another", "beats": 1}')
        await true(lambda: source.under_way == 0)
        source.gate = None
        assert (await ended(runner, record.id)).state is JobState.DONE  # the other one never beat again


async def test_a_cancelled_job_frees_its_work_and_its_files(tmp_path: Path) -> None:
    source = FakeSource(gate=asyncio.Semaphore(1))
    async with running(tmp_path, source, max_running=1) as runner:
        record, queued = new_record(9), new_record(2)
        await runner.submit(record, DOCUMENT)
        await runner.submit(queued, DOCUMENT)
        await until(runner, record.id, lambda status: status.pages.done == 1)
        async with asyncio.timeout(1):
            status = await runner.cancel(record.id, "")
        assert status.state is JobState.CANCELLED
        assert source.under_way <= 2, "only the next job's pages"
        assert not (tmp_path / record.id / "document").exists()
        assert page_files(tmp_path, record.id) == []
        source.gate = None
        (await runner.cancel(queued.id, ""))
    async with running(tmp_path, FakeSource()) as runner:
        assert (await runner.status(record.id, "")).state is JobState.CANCELLED
        assert (await runner.status(queued.id, "")).state is JobState.CANCELLED


async def test_deleting_an_ended_job_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, FakeSource()) as runner:
        record = new_record(1)
        await finished(runner, record)
        await runner.cancel(record.id, "")
        assert not (tmp_path / record.id).exists()
        with pytest.raises(JobNotFound):
            await runner.status(record.id, "")


async def test_jobs_expire(tmp_path: Path) -> None:
    async with running(tmp_path, FakeSource(), keep_s=0.2, sweep_s=0.02) as runner:
        record = new_record(1)
        await finished(runner, record)
        await true(lambda: not (tmp_path / record.id).exists())
    async with running(tmp_path, FakeSource()) as runner:
        with pytest.raises(JobNotFound):
            await runner.status(record.id, "")


async def test_the_oldest_go_first_where_there_are_too_many(tmp_path: Path) -> None:
    async with running(tmp_path, FakeSource(), max_kept=2, sweep_s=0.02) as runner:
        records = [new_record(1) for _ in range(4)]
        for record in records:
            await finished(runner, record)
        await true(lambda: len(list(tmp_path.glob("job-*/job.json"))) == 2)
        assert (await runner.status(records[3].id, "")).state is JobState.DONE
    assert not [record for record in records[:2] if page_files(tmp_path, record.id)]


async def test_more_unfinished_jobs_than_allowed_are_refused(tmp_path: Path) -> None:
    source = FakeSource(gate=asyncio.Semaphore(0))
    async with running(tmp_path, source, max_unfinished=2) as runner:
        records = [new_record(1) for _ in range(3)]
        await runner.submit(records[0], DOCUMENT)
        await runner.submit(records[1], DOCUMENT)
        with pytest.raises(QueueFull):
            await runner.submit(records[2], DOCUMENT)
        await runner.cancel(records[0].id, "")
        await runner.submit(records[2], DOCUMENT)


async def test_an_owner_sees_no_jobs_of_others(tmp_path: Path) -> None:
    async with running(tmp_path, FakeSource()) as runner:
        record = new_record(1, owner="alice")
        await finished(runner, record)
        assert (await runner.newest("bob", None, 10)).data == []
        for call in (runner.status, runner.cancel, runner.record):
            with pytest.raises(JobNotFound):
                await call(record.id, "bob")
        assert (await runner.status(record.id, "alice")).state is JobState.DONE


async def test_an_owner_with_many_jobs_does_not_hold_up_another(tmp_path: Path) -> None:
    source = FakeSource(gate=asyncio.Semaphore(0))
    async with running(tmp_path, source, max_running=2) as runner:
        hers = [new_record(1, owner="alice") for _ in range(4)]
        his = new_record(1, owner="bob")
        for record in (*hers, his):
            await runner.submit(record, DOCUMENT)
        await runner.cancel(hers[0].id, "alice")
        await until(runner, his.id, lambda status: status.state is JobState.RUNNING, "bob")


async def test_pages_of_the_list(tmp_path: Path) -> None:
    async with running(tmp_path, FakeSource()) as runner:
        ids = []
        for _ in range(5):
            record = new_record(1)
            await runner.submit(record, DOCUMENT)
            ids.append(record.id)
            await ended(runner, record.id)
        newest = sorted(ids, reverse=True)
        first = await runner.newest("", None, 2)
        assert [status.id for status in first.data] == newest[:2]
        assert (first.has_more, first.last_id) == (True, newest[1])
        await runner.cancel(newest[1], "")
        rest = await runner.newest("", first.last_id, 10)
        assert [status.id for status in rest.data] == newest[2:]
        assert not rest.has_more


async def test_a_storage_that_is_not_there_is_said_and_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    folder.write_text("a file where the folder should be")
    async with running(folder, FakeSource(), patience_s=0.2) as runner:
        with pytest.raises(EngineUnavailable, match=r"can't be reached now \(Not a directory\)"):
            await runner.submit(new_record(1), DOCUMENT)
        folder.unlink()
        async with asyncio.timeout(20):
            while True:
                try:
                    await runner.newest("", None, 1)
                    break
                except EngineUnavailable:
                    pass


class FullDisk:
    """Lets pages of jobs be written only while there is room; the small files fit at all times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = True
        write = Store.write

        def written(store: Store, name: str, data: bytes) -> None:
            if not self.room and "/pages/" in name:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(store, name, data)

        monkeypatch.setattr(Store, "write", written)
        monkeypatch.setattr(reading, "STORE_ATTEMPTS", 1)


async def test_a_full_disk_holds_a_job_up_and_loses_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    source = FakeSource(gate=asyncio.Semaphore(3))
    async with running(tmp_path, source, workers=1, storage_retry_s=0.05) as runner:
        record = new_record(6)
        await runner.submit(record, DOCUMENT)
        await until(runner, record.id, lambda status: status.pages.done == 3)
        disk.room = False
        for _ in range(3):
            source.gate.release()
        async with asyncio.timeout(20):
            while (status := await runner.status(record.id, "")).error is None:  # noqa: ASYNC110 - as the clients ask
                await asyncio.sleep(0.01)
        assert status.state is JobState.RUNNING
        assert "No space left on device" in status.error.message
        disk.room = True
        for _ in range(50):
            source.gate.release()
        status = await ended(runner, record.id)
    assert (status.state, status.pages.done, status.error) == (JobState.DONE, 6, None)
    assert [source.read[index] for index in range(3)] == [1, 1, 1], "what was stored is not read again"


async def test_an_end_that_cannot_be_stored_is_stored_later_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, failures = JobStore.save, [OSError(errno.ENOSPC, "No space left on device")] * 2

    def saved(store: JobStore, record: JobRecord) -> None:
        if record.state.ended and failures:
            raise failures.pop()
        save(store, record)

    monkeypatch.setattr(JobStore, "save", saved)
    async with running(tmp_path, FakeSource(), storage_retry_s=0.05) as runner:
        record = new_record(2)
        await runner.submit(record, DOCUMENT)
        async with asyncio.timeout(20):
            while not (await runner.status(record.id, "")).state.ended or failures:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        assert (await ended(runner, record.id)).pages.done == 2
    stored = JobStore(str(tmp_path)).record(record.id)
    assert stored is not None
    assert stored.state is JobState.DONE


async def test_a_submission_that_finds_no_room_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(store: JobStore, record: JobRecord) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(JobStore, "save", full)
    async with running(tmp_path, FakeSource()) as runner:
        record = new_record(1)
        with pytest.raises(EngineUnavailable, match="could not be stored"):
            await runner.submit(record, DOCUMENT)
    assert not (tmp_path / record.id).exists()


async def test_a_page_waits_for_an_engine_longer_than_it_is_tried(tmp_path: Path) -> None:
    source = FakeSource(errors={0: [EngineUnavailable("starting")] * 9})
    async with running(tmp_path, source, page_attempts=2) as runner:
        record = new_record(1)
        assert (await finished(runner, record)).state is JobState.DONE


async def test_but_not_longer_than_the_settings_say(tmp_path: Path) -> None:
    source = FakeSource(errors={0: [EngineUnavailable("starting")] * 9})
    async with running(tmp_path, source, unavailable_s=0) as runner:
        status = await finished(runner, new_record(1))
    assert status.error is not None
    assert status.error.code == "engine_unavailable"


def test_ids_sort_by_time_and_are_told_from_other_names() -> None:
    assert new_id(1.0) < new_id(2.0) < new_id(1_780_000_000.0)
    assert is_id(new_id())
    assert len({new_id() for _ in range(100)}) == 100
    for name in ("", "..", "job-", "owner.json", new_id() + "/", new_id().upper()):
        assert not is_id(name)


def test_a_record_that_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    store = JobStore(str(tmp_path))
    (tmp_path / (id_ := new_id())).mkdir()
    (tmp_path / id_ / "job.json").write_text("{}")
    assert store.record(id_) is None
    assert not store.is_abandoned(id_)
