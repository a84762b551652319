"""What a person can choose when KITTI is read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nucleus_convert.converters.optionmodel import Options, option


class ReadOptions(Options):
    """Options of the KITTI reader."""

    camera: int = option(2, ge=0, le=9, description="number of the camera that the labels were made in")
    results: Path | None = option(
        None,
        description="folder of a model's result files: read in the place of the label files, for the same images,"
        " point clouds and calibrations",
    )
    cameras: Literal["own", "all"] = option(
        "own",
        description="images: of that camera only (own), or of all cameras, the others without labels, as items of the"
        " same scenes (all)",
    )
    exact_yaw: bool | None = option(
        None,
        description="turn headings by the true rotation from camera to lidar, rather than by the nominal one as"
        " OpenPCDet and MMDetection3D do; by default only where the camera is mounted more than 5 degrees off",
    )
    dontcare: Literal["keep", "drop"] = option(
        "keep", description="regions labelled DontCare: boxes with that label, or left out and counted"
    )
    scores: Literal["auto", "keep", "ignore"] = option(
        "auto",
        description="the 16th column: a model's score (keep), or a filler (ignore); auto: a filler where every row"
        " of the data set has the same 0 or 1 there, and none has 3-D values",
    )
    clouds: Literal["auto", "found", "none"] = option(
        "auto",
        description="point clouds as items: those found, and where there is no velodyne folder at all one for each"
        " calibration file (auto); only those found; or none",
    )
    dialect: Literal["auto", "devkit", "cvat", "datumaro"] = option(
        "auto", description="who wrote a raw drive's tracklet_labels.xml: they disagree on centres and axes"
    )
    predictions: bool = option(False, description="read every object as a model's prediction")


class WriteOptions(Options):
    """Options of the KITTI writer."""

    decimals: int | None = option(
        None,
        ge=0,
        le=12,
        description="decimals of numbers that are not the source's own: the development kit writes 2; by default as"
        " many as it takes",
    )
    pictures: Literal["auto", "none", "png"] = option(
        "auto",
        description="masks as pictures of classes (semantic) and of instances (instance); auto: where the source had"
        " such pictures",
    )
    layout: Literal["auto", "object", "tracking"] = option(
        "auto", description="a file for each image, or for each sequence; auto: as the data set has scenes"
    )
    camera: int = option(2, ge=0, le=9, description="number of the camera that labels are written for")
    images: Literal["link", "copy", "none"] = option(
        "none", description="put images and point clouds beside the labels: as links, as copies, or not at all"
    )
    image_root: Path | None = option(
        None, description="the folder that the source's paths are relative to, if the source does not say"
    )
