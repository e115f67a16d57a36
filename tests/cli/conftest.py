# SPDX-License-Identifier: GPL-2.0-or-later
import pytest


@pytest.fixture
def policy(tmp_path):
    def write(text, name="policy.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write
