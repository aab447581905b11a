"""Images and their views: data sets, batched augmentations, loaders."""

from sparring.data.augment import (
    Augmentation,
    ColorJitter,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    Resize,
)
from sparring.data.corrupted import CorruptedSet, open_corrupted
from sparring.data.images import ImageSet, StreamedImages
from sparring.data.kept import images_kept, load_images
from sparring.data.loader import Batches
from sparring.data.official import SOURCES, Source, splits
from sparring.data.sets import about, check_source, data_folder, data_names
from sparring.data.splits import Splits
from sparring.data.transfer import Target, open_target
from sparring.data.views import Pipeline, make_views, pipeline, pipeline_names, small_crops

__all__ = [
    "SOURCES",
    "Augmentation",
    "Batches",
    "ColorJitter",
    "CorruptedSet",
    "ImageSet",
    "Pipeline",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "Resize",
    "Source",
    "Splits",
    "StreamedImages",
    "Target",
    "about",
    "check_source",
    "data_folder",
    "data_names",
    "images_kept",
    "load_images",
    "make_views",
    "open_corrupted",
    "open_target",
    "pipeline",
    "pipeline_names",
    "small_crops",
    "splits",
]
