"""A recogniser for `avse separate --transcribe`: prints the words that pocketsphinx recognises in
a WAV file.

    pip install pocketsphinx
    avse separate talk.mp4 --transcribe "python examples/hear.py"
    avse separate talk.mp4 --transcribe "python examples/hear.py --grammar examples/grid.gram"

The package includes a model of American English, which is often wrong. A grammar (JSGF) limits
recognition to given sentences.
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

from pocketsphinx import Decoder


def main() -> None:
    """Read the options, recognise the words, and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grammar", type=Path, help="JSGF file with the possible sentences")
    parser.add_argument("sound", help="WAV file, 16 bits, mono")
    given = parser.parse_args()
    with wave.open(given.sound) as sound:
        rate, samples = sound.getframerate(), sound.readframes(-1)
    if given.grammar is None:
        decoder = Decoder(samprate=rate, loglevel="FATAL")
    else:
        decoder = Decoder(samprate=rate, loglevel="FATAL", lm=None)
        decoder.add_jsgf_string("sentences", given.grammar.read_text(encoding="utf-8"))
        decoder.activate_search("sentences")
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()
    heard = decoder.hyp()
    print("" if heard is None else heard.hypstr)


if __name__ == "__main__":
    main()
