"""Makes docs/preview.jpg, the picture in the README: the bundled example's predictions in headless Chromium.

Needs what the browser tests need: ``pip install -e '.[test]'``, chromium and chromium-driver.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver

from nucleus_convert.cli import run

ROOT = Path(__file__).resolve().parents[1]
PARK = ROOT / "examples/park/annotations"
TARGET = ROOT / "docs/preview.jpg"
SIZE = 1240, 700
MOST = 150_000
"""Bytes that the picture may have."""


def page(folder: Path) -> Path:
    """The preview of the example's detections against its labels."""
    target = folder / "preview.html"
    truth, found = PARK / "instances.json", PARK / "results_segm.json"
    code = run(["preview", str(truth), str(found), "--read-other", f"ground-truth={truth}", "-o", str(target)])
    if code:
        raise SystemExit(code)
    return target


def screenshot(path: Path) -> Image.Image:
    """The page as Chromium shows it."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--hide-scrollbars", "--force-device-scale-factor=1", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.set_window_size(*SIZE)
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False},
        )
        browser.get(path.as_uri())
        return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    finally:
        browser.quit()


def main() -> None:
    """Make the picture."""
    with tempfile.TemporaryDirectory() as folder:
        picture = screenshot(page(Path(folder)))
    picture.save(TARGET, "JPEG", quality=80, subsampling=0, optimize=True, progressive=True)
    size = TARGET.stat().st_size
    if size > MOST:
        raise SystemExit(f"{TARGET} has {size:,} bytes, more than {MOST:,}")


if __name__ == "__main__":
    main()
