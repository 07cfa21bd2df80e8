"""What every gear of this kind has to load: the SDKs, and the three AWS clients."""

import boto3
import flywheel
import fw_gear
import pydantic
import pydicom

LOADED = (flywheel, fw_gear, pydantic, pydicom)
CLIENTS = [boto3.client(service) for service in ("ssm", "s3", "lambda")]
