"""Content: how it is cut, compressed and cached, and that its bytes are proven before they are handed out."""

from __future__ import annotations

import io
import os
import random
from collections import OrderedDict
from collections.abc import Iterator

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.storage.content.cache import ContentCache
from greenroom.storage.content.chunks import CHUNK_ABOVE, BlobPart, Encoded, Reference, encode, read_chunks, read_up_to
from greenroom.storage.content.contents import Contents
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.errors import ArtifactNotFound, IntegrityError, ValidationError

MIB = 1 << 20
SIZES = [
    CHUNK_ABOVE + 1,
    300_000,
    4 * MIB - 1,
    4 * MIB,
    4 * MIB + 1,
    4 * MIB + 2,
    5 * MIB,
    5 * MIB + 1,
    5 * MIB + 2,
    6 * MIB + 12_345,
]


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


class Dribble(io.RawIOBase):
    """A stream that gives a few bytes at a time, as pipes and sockets do."""

    def __init__(self, data: bytes, most: int) -> None:
        self._data = io.BytesIO(data)
        self._most = most

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, self._most))


# -- cutting


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_is_cut_as_the_same_bytes_in_memory(size: int) -> None:
    content = noise(size)
    in_memory = [bytes(chunk) for chunk in read_chunks(content)]
    assert b"".join(in_memory) == content
    assert max(map(len, in_memory)) <= MIB
    assert [bytes(chunk) for chunk in read_chunks(io.BytesIO(content))] == in_memory
    assert [bytes(chunk) for chunk in read_chunks(memoryview(content))] == in_memory


def test_a_stream_that_dribbles_is_cut_the_same() -> None:
    content = noise(5 * MIB + 77)
    expected = [len(chunk) for chunk in read_chunks(content)]
    assert [len(chunk) for chunk in read_chunks(Dribble(content, 70_001))] == expected


@pytest.mark.parametrize("size", [600_000, 6 * MIB])
def test_an_insertion_changes_only_the_chunks_around_it(size: int) -> None:
    content = noise(size)
    edited = content[: size // 2] + b"a few new words" + content[size // 2 :]
    before = {blake3(chunk).digest() for chunk in read_chunks(content)}
    after = {blake3(chunk).digest() for chunk in read_chunks(edited)}
    assert len(after - before) <= 4 < len(before)


def test_read_up_to_joins_short_reads_and_refuses_text() -> None:
    assert read_up_to(Dribble(b"abcdefgh", 3), 7) == b"abcdefg"
    assert read_up_to(io.BytesIO(b"abc"), 7) == b"abc"
    with pytest.raises(ValidationError, match="binary"):
        read_up_to(io.StringIO("text"), 7)  # type: ignore[arg-type]


# -- compressing


def test_only_what_is_large_and_shrinks_is_compressed() -> None:
    text = b"the quick brown fox " * 1000
    assert len(encode(text, 10 << 10)) < len(text) // 4
    assert encode(text[:10_240], 10 << 10) == b"\x00" + text[:10_240]
    assert len(encode(text[:10_241], 10 << 10)) < 10_241
    random_bytes = noise(50_000)
    assert encode(random_bytes, 10 << 10) == b"\x00" + random_bytes
    assert encode(b"", 0) == b"\x00"


# -- the cache


@given(
    st.integers(0, 400),
    st.lists(st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 7), st.integers(0, 60)), max_size=60),
)
def test_the_cache_is_a_byte_bounded_lru(capacity: int, steps: list[tuple[str, int, int]]) -> None:
    cache = ContentCache(capacity)
    model: OrderedDict[bytes, bytes] = OrderedDict()
    sizes: dict[int, int] = {}
    for action, number, size in steps:
        digest = bytes([number])
        if action == "put":
            data = digest * sizes.setdefault(number, size)  # an address has one content
            cache.put(digest, data)
            if len(data) <= capacity // 4 and digest not in model:
                model[digest] = data
                while sum(map(len, model.values())) > capacity:
                    model.popitem(last=False)
        elif action == "get":
            assert cache.get(digest) == model.get(digest)
            if digest in model:
                model.move_to_end(digest)
        else:
            cache.drop(digest)
            model.pop(digest, None)
        assert cache.bytes == sum(map(len, model.values())) <= capacity


# -- storing and reading, below the writer


def put(engine: Engine, contents: Contents, data: bytes, reference: Reference) -> bytes:
    """Store content as the writer does; its digest."""
    digest = blake3(data).digest()
    if len(data) <= CHUNK_ABOVE:
        payload = encode(data, 10 << 10)
        encoded = Encoded(digest, len(data), len(payload) - 1, payload=payload)
    else:
        blob, parts, offset = os.urandom(16), [], 0
        for chunk in read_chunks(data):
            parts.append(BlobPart(offset, len(chunk), blake3(chunk).digest(), encode(chunk, 0)))
            offset += len(chunk)
        ops, missing = contents.blob_part_ops(blob, parts)
        assert not missing
        engine.write(contents.begin_blob_ops(blob) + ops)
        encoded = Encoded(digest, len(data), len(data), blob=blob)
    added = contents.add_ops(encoded, reference)
    assert added is not None
    engine.write(added)
    return digest


HOLDER = Reference(b"s" * 16, b"a", 1)


@pytest.fixture
def contents(engine: Engine) -> Contents:
    return Contents(engine, 0)


@pytest.mark.parametrize("size", [0, 1, 10_240, 10_241, CHUNK_ABOVE, CHUNK_ABOVE + 1, 700_000, 4 * MIB + 1])
def test_content_of_any_size_comes_back(engine: Engine, contents: Contents, size: int) -> None:
    for data in (noise(size), (b"again and " * (size // 10 + 1))[:size]):
        digest = put(engine, contents, data, HOLDER)
        assert contents.read(digest) == data
        with contents.open(digest) as stream:
            assert stream.read() == data
        contents.check(digest)
        record = contents.record(digest)
        assert record is not None
        assert record[0] == size


STEPS = st.lists(
    st.tuples(st.just("read"), st.integers(-1, 300_000))
    | st.tuples(st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]), st.integers(-900_000, 900_000)),
    max_size=25,
)


@pytest.fixture
def large(engine: Engine, contents: Contents) -> tuple[bytes, bytes]:
    """(data, digest) of content in many chunks."""
    data = noise(600_000, 5)
    return data, put(engine, contents, data, HOLDER)


@given(steps=STEPS)
@settings(max_examples=60)
def test_a_stream_reads_and_seeks_like_a_file_of_the_same_bytes(
    contents: Contents, large: tuple[bytes, bytes], steps: list[tuple[str | int, int]]
) -> None:
    data, digest = large
    model, stream = io.BytesIO(data), contents.open(digest)
    assert stream.seekable()
    assert stream.readable()
    assert not stream.writable()
    for action, number in steps:
        if action == "read":
            assert stream.read(number) == model.read(number)
        else:
            assert isinstance(action, int)
            base = {os.SEEK_SET: 0, os.SEEK_CUR: model.tell(), os.SEEK_END: len(data)}[action]
            if base + number < 0:
                with pytest.raises(ValueError, match="negative"):
                    stream.seek(number, action)
                stream.seek(model.tell())
            else:
                assert stream.seek(number, action) == model.seek(base + number)
        assert stream.tell() == model.tell()
    stream.close()


def blocks(contents: Contents, digest: bytes) -> Iterator[bytes]:
    """The content as a stream gives it, bit by bit."""
    with contents.open(digest) as stream:
        while block := stream.read(10_000):
            yield block


def damaged_entries(engine: Engine, cf: int) -> list[tuple[bytes, bytes]]:
    """Each stored value with one byte changed: the first, the middle, the last."""
    found = []
    for key, value in engine.scan(cf, b"", b"\xff" * 60):
        for at in {0, len(value) // 2, len(value) - 1}:
            changed = bytearray(value)
            changed[at] ^= 0x40
            found.append((key, bytes(changed)))
    return found


@pytest.mark.parametrize("family", ["CHUNKS", "MANIFESTS", "CONTENTS"])
@pytest.mark.parametrize("size", [3_000, 90_000, 200_000])
def test_a_changed_byte_is_an_integrity_error_and_never_wrong_bytes(
    engine: Engine, contents: Contents, size: int, family: str
) -> None:
    data = noise(size // 2) + b"words " * (size // 12)
    digest = put(engine, contents, data, HOLDER)
    cf = getattr(CF, family)
    intact = dict(engine.scan(cf, b"", b"\xff" * 60))
    assert intact or family == "MANIFESTS"
    for key, changed in damaged_entries(engine, cf):
        engine.write([(cf, key, changed)])
        with pytest.raises(IntegrityError) as caught:
            contents.read(digest)
        assert "run verify" in str(caught.value)
        got: list[bytes] = []
        with pytest.raises(IntegrityError):
            got.extend(blocks(contents, digest))
        assert data.startswith(b"".join(got))
        with pytest.raises(IntegrityError):
            contents.check(digest)
        engine.write([(cf, key, intact[key])])
    assert contents.read(digest) == data


@pytest.mark.parametrize("family", ["CHUNKS", "MANIFESTS", "CONTENTS"])
@pytest.mark.parametrize("size", [3_000, 200_000])
def test_a_lost_record_is_an_integrity_error(engine: Engine, contents: Contents, size: int, family: str) -> None:
    data = noise(size)
    digest = put(engine, contents, data, HOLDER)
    cf = getattr(CF, family)
    for key, value in engine.scan(cf, b"", b"\xff" * 60):
        engine.write([(cf, key, None)])
        with pytest.raises(IntegrityError):
            contents.read(digest)
        with pytest.raises(IntegrityError):
            list(blocks(contents, digest))
        with pytest.raises(IntegrityError):
            contents.check(digest)
        engine.write([(cf, key, value)])
    assert contents.read(digest) == data


def test_chunks_put_in_each_others_place_are_noticed(engine: Engine, contents: Contents) -> None:
    data = noise(400_000)
    digest = put(engine, contents, data, HOLDER)
    (first, one), (second, other) = engine.scan(CF.CHUNKS, b"", b"\xff" * 60)[:2]
    engine.write([(CF.CHUNKS, first, other), (CF.CHUNKS, second, one)])
    with pytest.raises(IntegrityError):
        contents.read(digest)
    with pytest.raises(IntegrityError):
        contents.check(digest)


@pytest.mark.parametrize("seed", range(4))
def test_a_check_finds_the_wrong_references_that_a_look_at_them_finds(
    engine: Engine, contents: Contents, seed: int
) -> None:
    dice = random.Random(seed)
    data = noise(500_000)
    digest = put(engine, contents, data + data[:200_000], HOLDER)
    put(engine, contents, data, Reference(b"t" * 16, b"a", 1))
    record = contents.record(digest)
    assert record is not None
    blob = record[2]
    assert blob is not None
    assert contents.check(digest) == []
    mine = [key for key, _ in engine.scan(CF.REFERENCES, b"k", b"l") if key.endswith(blob)]
    for key in dice.sample(mine, 8):
        engine.write([(CF.REFERENCES, key, dice.choice((None, bytes(4), b"\x00\x00\x00\x07")))])
    for discredited in (False, True):
        wrong = contents.wrong_chunk_references(blob, sizes=True, discredited=discredited)
        assert contents.check(digest, discredited=discredited) == wrong
    whole = contents.wrong_chunk_references(blob, sizes=True, discredited=False)
    assert len({key for _, key, _ in whole}) == 8
    engine.write(whole)
    assert contents.check(digest) == []


def test_a_cached_content_needs_no_disk_and_a_dropped_one_does(engine: Engine) -> None:
    contents = Contents(engine, 1 << 20)
    data = noise(5_000)
    digest = put(engine, contents, data, HOLDER)
    assert contents.read(digest) == data
    hits = contents.cache.hits
    assert contents.read(digest) == data
    assert contents.cache.hits == hits + 1
    engine.write(contents.release_ops([(digest, HOLDER)]))
    with pytest.raises(ArtifactNotFound, match="deleted"):
        contents.read(digest)


# -- references


def test_content_stays_while_anybody_refers_to_it(engine: Engine, contents: Contents) -> None:
    holders = [Reference(bytes([number]) * 16, kind, number) for number in range(3) for kind in (b"a", b"m")]
    for data in (noise(100), noise(300_000)):
        digest = b""
        for holder in holders:
            digest = put(engine, contents, data, holder)
        assert sorted(each.key(digest) for each in contents.references(digest)) == sorted(
            each.key(digest) for each in holders
        )
        engine.write(contents.release_ops([(digest, holder) for holder in holders[:4]]))
        assert contents.read(digest) == data
        engine.write(contents.release_ops([(digest, holders[4])]))
        assert contents.read(digest) == data
        engine.write(contents.release_ops([(digest, holders[5])]))
        assert contents.record(digest) is None
    for cf in (CF.CONTENTS, CF.CHUNKS, CF.MANIFESTS, CF.REFERENCES):
        assert engine.scan(cf, b"", b"\xff" * 60) == []


def test_chunks_that_two_contents_share_are_stored_once_and_outlive_the_first(
    engine: Engine, contents: Contents
) -> None:
    common = noise(500_000)
    one, other = common + b"one", common + b"the other"
    first = put(engine, contents, one, HOLDER)
    alone = len(engine.scan(CF.CHUNKS, b"", b"\xff" * 60))
    second = put(engine, contents, other, Reference(b"t" * 16, b"a", 1))
    both = len(engine.scan(CF.CHUNKS, b"", b"\xff" * 60))
    assert alone < both <= alone + 2
    engine.write(contents.release_ops([(first, HOLDER)]))
    assert contents.read(second) == other
    assert len(engine.scan(CF.CHUNKS, b"", b"\xff" * 60)) == len(list(read_chunks(other)))


def test_content_that_repeats_a_chunk_is_stored_and_dropped_whole(engine: Engine, contents: Contents) -> None:
    data = bytes(1_000_000)
    digest = put(engine, contents, data, HOLDER)
    assert len(engine.scan(CF.CHUNKS, b"", b"\xff" * 60)) < 5
    assert contents.read(digest) == data
    engine.write(contents.release_ops([(digest, HOLDER)]))
    assert engine.scan(CF.CHUNKS, b"", b"\xff" * 60) == []
    assert engine.scan(CF.REFERENCES, b"", b"\xff" * 60) == []


def test_a_blob_that_was_never_completed_is_found_and_dropped(engine: Engine, contents: Contents) -> None:
    kept = noise(300_000)
    digest = put(engine, contents, kept, HOLDER)
    before = [engine.scan(cf, b"", b"\xff" * 60) for cf in (CF.CHUNKS, CF.MANIFESTS, CF.REFERENCES, CF.META)]
    blob = os.urandom(16)
    chunks = list(read_chunks(kept + noise(200_000, 2)))
    parts, offset = [], 0
    for chunk in chunks:
        parts.append(BlobPart(offset, len(chunk), blake3(chunk).digest(), encode(chunk, 0)))
        offset += len(chunk)
    engine.write(contents.begin_blob_ops(blob) + contents.blob_part_ops(blob, parts)[0])
    assert contents.pending_blobs() == [blob]
    engine.write(contents.abort_blob_ops(blob))
    assert contents.pending_blobs() == []
    assert [engine.scan(cf, b"", b"\xff" * 60) for cf in (CF.CHUNKS, CF.MANIFESTS, CF.REFERENCES, CF.META)] == before
    assert contents.read(digest) == kept
