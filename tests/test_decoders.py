"""What comes out of a file is what was recorded; what cannot be used is told in one sentence."""

import io
import os
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sounds import EXACT, FFMPEG, RATE, SOUNDFILE, amplitude_of, encode, picture_bytes, sine, sweep, wav_bytes
from vocalics import audio
from vocalics.errors import AudioError


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """The same sweep under every coding, by suffix."""
    folder = tmp_path_factory.mktemp("recordings")
    return {suffix: encode(folder / f"sweep.{suffix}", sweep()) for suffix in (*SOUNDFILE, *FFMPEG)}


@pytest.mark.parametrize(
    ("subtype", "step"),
    [  # the largest distance of neighbours up to 0.5; A-law and mu-law step by 1/64 from 1/4 to 1/2
        ("PCM_U8", 2**-7),
        ("PCM_16", 2**-15),
        ("PCM_24", 2**-23),
        ("PCM_32", 2**-24),  # float32's own between 1/4 and 1/2 is 2**-25
        ("FLOAT", 2**-24),
        ("DOUBLE", 2**-24),
        ("ALAW", 2**-6),
        ("ULAW", 2**-6),
    ],
)
def test_every_bit_depth_of_wav_is_read_to_its_own_step(subtype, step):
    written = sine(300, 16_000)
    waveform = audio.read(wav_bytes(written, subtype=subtype))
    assert np.abs(waveform.samples[0] - written).max() <= step
    assert audio.info(wav_bytes(written, subtype=subtype)).format == f"wav {subtype.lower()}"


@pytest.mark.parametrize(
    "sample_rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000]
)
def test_every_rate_from_the_telephone_to_the_studio_is_read(sample_rate):
    waveform = audio.read(wav_bytes(sine(1_000, sample_rate), sample_rate))
    assert waveform.sample_rate == sample_rate
    assert amplitude_of(waveform.samples[0], 1_000, sample_rate) == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("suffix", [*SOUNDFILE, *FFMPEG])
def test_a_tone_comes_out_of_every_codec_as_it_went_in(suffix, tmp_path):
    written = np.stack([sine(440), sine(440, amplitude=0.25)])
    path = encode(tmp_path / f"tone.{suffix}", written)
    waveform = audio.read(path)
    assert (waveform.sample_rate, waveform.n_channels) == (RATE, 2)
    # Lossy codecs round to their frames: AAC's two are 43 ms.
    assert waveform.duration_s == pytest.approx(1.0, abs=1e-9 if suffix in EXACT else 0.05)
    for channel, amplitude in zip(waveform.samples, (0.5, 0.25), strict=True):
        assert amplitude_of(channel, 440, RATE) == pytest.approx(
            amplitude, rel=0.05
        )  # 0.4 dB, for lossy codecs


@pytest.mark.parametrize("suffix", ["wav", "flac", "webm", "mkv", "m4a"])
def test_eight_channels_are_eight(suffix, tmp_path):
    """With eight, PyAV takes memory behind the frame for a ninth plane."""
    amplitudes = 0.05 * np.arange(1, 9)
    path = encode(tmp_path / f"tones.{suffix}", np.stack([sine(100, amplitude=a) for a in amplitudes]))
    found = [amplitude_of(channel, 100, RATE) for channel in audio.read(path).samples]
    # Lossy codecs are not exact, and filter the channel that is made for low frequencies.
    np.testing.assert_allclose(found, amplitudes, atol=1e-4 if suffix in EXACT else 0.02)


@pytest.mark.parametrize("suffix", [*SOUNDFILE, *FFMPEG])
def test_a_file_its_bytes_and_a_file_object_are_the_same_recording(suffix, recordings):
    path = recordings[suffix]
    expected = audio.read(path).samples
    np.testing.assert_array_equal(audio.read(str(path)).samples, expected)
    np.testing.assert_array_equal(audio.read(path.read_bytes()).samples, expected)
    with path.open("rb") as file:
        file.seek(100)  # read from its beginning nonetheless
        np.testing.assert_array_equal(audio.read(file).samples, expected)
        assert not file.closed


def test_a_pipe_is_read_though_it_cannot_be_sought(recordings):
    reading, writing = os.pipe()
    with subprocess.Popen(["cat", recordings["m4a"]], stdout=writing), os.fdopen(reading, "rb") as pipe:
        os.close(writing)
        np.testing.assert_array_equal(audio.read(pipe).samples, audio.read(recordings["m4a"]).samples)


@pytest.mark.parametrize("suffix", [*SOUNDFILE, *FFMPEG])
def test_info_tells_what_read_will_find(suffix, recordings):
    told, waveform = audio.info(recordings[suffix]), audio.read(recordings[suffix])
    assert (told.sample_rate, told.n_channels) == (waveform.sample_rate, waveform.n_channels)
    if suffix == "aac":  # no container, so nobody knows before the end
        assert told.duration_s is None
    else:
        assert told.duration_s == pytest.approx(waveform.duration_s, abs=0.05)


@pytest.mark.parametrize("suffix", [*SOUNDFILE, *FFMPEG])
def test_a_span_is_the_slice_of_the_whole(suffix, recordings):
    whole = audio.read(recordings[suffix]).samples
    generator = np.random.default_rng(3)
    starts_s = [0.0, 0.001, *generator.uniform(0.1, 2.8, size=10)]
    for start_s in starts_s:
        end_s = start_s + generator.uniform(0.01, 0.15)
        span = audio.read(recordings[suffix], start_s, end_s).samples
        expected = whole[:, round(start_s * RATE) : round(end_s * RATE)]
        # A shift by one sample would show as up to 0.13; AAC fills bands with noise of its own, up to 0.01.
        np.testing.assert_allclose(span, expected, atol=0 if suffix in EXACT else 0.02)


@pytest.mark.parametrize("suffix", ["wav", "ogg", "mp3", "m4a", "webm"])
def test_a_span_without_an_end_and_one_beyond_it_end_where_the_recording_ends(suffix, recordings):
    whole = audio.read(recordings[suffix]).samples
    for end_s in (None, 100.0):
        span = audio.read(recordings[suffix], 2.9, end_s).samples
        np.testing.assert_allclose(span, whole[:, round(2.9 * RATE) :], atol=0.02)  # as above


def test_a_span_shorter_than_a_sample_is_one_sample(recordings):
    assert audio.read(recordings["wav"], 1.0, 1.000001).n_samples == 1


@pytest.mark.parametrize("suffix", ["wav", "mp3", "webm"])
@pytest.mark.parametrize("block_s", [0.01, 0.7, 1.0, 3.0, 100.0])
def test_blocks_are_the_whole_cut_up(suffix, block_s, recordings):
    whole = audio.read(recordings[suffix]).samples
    blocks = [block.samples for block in audio.blocks(recordings[suffix], block_s)]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)
    assert all(block.shape[1] == round(block_s * RATE) for block in blocks[:-1])
    assert blocks[-1].shape[1] <= round(block_s * RATE)


def test_blocks_need_less_memory_than_the_recording(tmp_path):
    samples = np.zeros((RATE * 120, 2), np.int16)
    soundfile.write(tmp_path / "long.wav", samples, RATE)
    tracemalloc.start()
    try:
        n_samples = sum(block.n_samples for block in audio.blocks(tmp_path / "long.wav", 1.0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_samples == len(samples)
    assert peak < samples.size * 4 / 2  # the whole in float32 would be 46 MB; a piece of 2**20 samples is 4


@pytest.mark.parametrize("block_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_block_has_a_length(block_s, recordings):
    with pytest.raises(AudioError, match="block"):
        next(audio.blocks(recordings["wav"], block_s))


def test_a_recording_longer_than_allowed_is_refused_and_a_short_span_of_it_is_not(recordings):
    for suffix in ("wav", "m4a", "aac"):  # told by the header, by the container, and only by decoding
        with pytest.raises(AudioError, match="more than 2 s"):
            audio.read(recordings[suffix], max_duration_s=2.0)
        assert audio.read(recordings[suffix], 1.0, 2.0, max_duration_s=2.0).duration_s == pytest.approx(1.0)


def test_a_recording_that_a_browser_streamed_tells_no_length_and_is_read(tmp_path):
    path = encode(tmp_path / "streamed.webm", sweep(), live="1")
    assert audio.info(path).duration_s is None
    assert audio.read(path).duration_s == pytest.approx(3.0, abs=0.05)
    with pytest.raises(AudioError, match="more than 2 s"):
        audio.read(path, max_duration_s=2.0)


def test_half_a_wav_is_half_a_recording(recordings):
    whole, data = audio.read(recordings["wav"]).samples, recordings["wav"].read_bytes()
    half = audio.read(data[: len(data) // 2]).samples
    assert half.shape[1] == pytest.approx(whole.shape[1] / 2, abs=20)  # the header's 44 bytes are 11 frames
    np.testing.assert_array_equal(half, whole[:, : half.shape[1]])


def test_a_wav_whose_recorder_never_wrote_its_length_is_read(recordings):
    data = bytearray(recordings["wav"].read_bytes())
    data[4:8] = data[40:44] = bytes(4)
    np.testing.assert_array_equal(audio.read(bytes(data)).samples, audio.read(recordings["wav"]).samples)


def test_a_flac_that_was_streamed_without_a_length_is_read(recordings):
    data = bytearray(recordings["flac"].read_bytes())
    data[21] &= 0xF0  # the 36 bits of the number of samples in STREAMINFO
    data[22:26] = bytes(4)
    np.testing.assert_array_equal(audio.read(bytes(data)).samples, audio.read(recordings["flac"]).samples)


def test_raw_aac_cut_inside_its_last_frame_is_read_up_to_there(recordings):
    whole, data = audio.read(recordings["aac"]).samples, recordings["aac"].read_bytes()
    half = audio.read(data[: len(data) // 2]).samples
    assert 0.4 < half.shape[1] / whole.shape[1] < 0.6
    np.testing.assert_array_equal(half, whole[:, : half.shape[1]])


# What cannot be used: name, how its bytes come from those of good recordings, words that its sentence holds.
BROKEN = {
    "empty.wav": (lambda _: b"", "empty"),
    "text.wav": (lambda _: b"this is not audio\n" * 100, "not audio"),
    "page.mp3": (lambda _: b"<!DOCTYPE html><html><body>404</body></html>", "not audio"),
    "zeros.wav": (lambda _: bytes(10_000), "not audio"),
    "photo.jpg": (lambda _: picture_bytes("mjpeg", "mjpeg", "yuvj420p"), "no sound, only video"),
    "silent_film.mkv": (lambda _: picture_bytes("mpeg4", "matroska", "yuv420p"), "no sound, only video"),
    "header.wav": (lambda _: wav_bytes(np.zeros(0)), "no samples"),
    "cut.flac": (lambda good: half(good["flac"]), "cut short"),
    "cut.m4a": (lambda good: half(good["m4a"]), "cut short"),
    "damaged.aac": (lambda good: damaged_in_the_middle(good["aac"]), "damaged"),
    "nan.wav": (lambda _: wav_bytes(np.array([0.0, np.nan] * 500), subtype="FLOAT"), "NaN"),
    "infinite.wav": (lambda _: wav_bytes(np.array([0.0, np.inf] * 500), subtype="FLOAT"), "infinite"),
    "unscaled.wav": (lambda _: wav_bytes(sine(440, 16_000) * 20_000, subtype="FLOAT"), "full scale"),
    "slow.wav": (lambda _: wav_bytes(np.zeros(1_000), 7_999), "7999 Hz"),
    "fast.wav": (lambda _: wav_bytes(np.zeros(1_000), 192_001), "192001 Hz"),
    "sideways.wav": (lambda _: wav_bytes(np.zeros((1_000, 100))), "100 channels"),
    # Playlists that name a good recording: following them would let a file that was sent in read other files.
    "playlist.m3u8": (
        lambda good: f"#EXTM3U\n#EXTINF:3,\n{good['aac']}\n#EXT-X-ENDLIST\n".encode(),
        "not audio",
    ),
    "playlist.txt": (lambda good: f"ffconcat version 1.0\nfile '{good['wav']}'\n".encode(), "not audio"),
    "folder.wav": (None, "folder"),
    "missing.wav": (None, "no file"),
    "a\0b.wav": (None, "cannot be read"),
}


def half(path):
    data = path.read_bytes()
    return data[: len(data) // 2]


def damaged_in_the_middle(path):
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = np.random.default_rng(0).bytes(600)
    return bytes(data)


@pytest.fixture(scope="module")
def broken(tmp_path_factory, recordings):
    """A folder of what cannot be used."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "folder.wav").mkdir()
    for name, (make, _) in BROKEN.items():
        if make is not None:
            (folder / name).write_bytes(make(recordings))
    return folder


def outcome(use, source):
    """What a use of the source gives: an answer, or the sentence with which it is refused."""
    try:
        return use(source)
    except AudioError as error:
        return str(error)


def read_in_blocks(source):
    return list(audio.blocks(source, 0.5))


@pytest.mark.parametrize("use", [audio.read, read_in_blocks])
@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_used_is_told_in_one_sentence_that_names_it(name, use, broken):
    sentence = outcome(use, broken / name)
    assert BROKEN[name][1] in sentence
    assert str(broken / name) in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("name", BROKEN)
def test_info_tells_what_the_header_says_or_refuses(name, broken):
    told = outcome(audio.info, broken / name)
    if isinstance(told, audio.AudioInfo):
        assert audio.MINIMUM_RATE <= told.sample_rate <= audio.MAXIMUM_RATE
    else:
        assert str(broken / name) in told


@pytest.mark.parametrize(
    ("start_s", "end_s", "words"),
    [
        (-1.0, None, "starts at 0"),
        (2.0, 1.0, "ends after"),
        (1.0, 1.0, "ends after"),
        (float("nan"), None, "starts at 0"),
        (0.0, float("nan"), "ends after"),
        (5.0, 6.0, "lasts 3.00 s"),
    ],
)
def test_a_span_that_is_none_is_told(start_s, end_s, words, recordings):
    with pytest.raises(AudioError, match=words):
        audio.read(recordings["wav"], start_s, end_s)


def test_a_span_past_an_end_that_only_decoding_finds_is_told(recordings):
    with pytest.raises(AudioError, match=r"ends before 5\.00 s"):
        audio.read(recordings["aac"], 5.0)


def test_a_file_that_may_not_be_read_is_told(recordings, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # a test run as root could read any file
    with pytest.raises(AudioError, match="may not be read"):
        audio.read(recordings["wav"])


@pytest.mark.parametrize("source", [None, 3, io.StringIO("text")])
def test_a_source_that_is_none_is_told(source):
    with pytest.raises(AudioError, match="binary mode"):
        audio.read(source)


def test_a_closed_file_is_told(recordings):
    with recordings["wav"].open("rb") as file:
        pass
    with pytest.raises(AudioError, match="closed file"):
        audio.read(file)


def test_bytes_are_called_what_the_caller_calls_them():
    with pytest.raises(AudioError, match=r"^upload\.wav is not audio"):
        audio.read(b"not a recording", name="upload.wav")
    with pytest.raises(AudioError, match=r"^the recording is not audio"):
        audio.read(b"not a recording")


HEADS = [
    b"",
    b"RIFF\xff\0\0\0WAVEfmt ",
    b"fLaC\0\0\0\x22",
    b"OggS\0\x02",
    b"ID3\x04\0",
    b"\xff\xfb\x90\x64",
    b"\xff\xf1P\x80",
]
HEADS += [b"\x1aE\xdf\xa3", b"\0\0\0\x18ftypM4A ", b"#!AMR\n", b"FORM\0\0\1\0AIFF", b".snd", b"caff\0\1\0\0"]


@settings(max_examples=150, deadline=None)
@given(head=st.sampled_from(HEADS), tail=st.binary(max_size=2_000))
def test_random_bytes_throw_nothing_but_audio_errors(head, tail):
    assert isinstance(outcome(audio.info, head + tail), str | audio.AudioInfo)
    assert isinstance(outcome(audio.read, head + tail), str | audio.Waveform)
    assert isinstance(outcome(read_in_blocks, head + tail), str | list)


@settings(max_examples=60, deadline=None)
@given(suffix=st.sampled_from(["flac", "ogg", "opus", "mp3", "m4a", "webm"]), data=st.data())
def test_flipped_bytes_throw_nothing_but_audio_errors(suffix, data, recordings):
    damaged = bytearray(recordings[suffix].read_bytes()[:20_000])
    places = st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255))
    for place, byte in data.draw(st.lists(places, min_size=1, max_size=20)):
        damaged[place] = byte
    answer = outcome(audio.read, bytes(damaged))
    assert isinstance(answer, audio.Waveform) or answer.endswith(".")
