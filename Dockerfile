# The image of every gear of this repository. Nothing is asked of the base but Debian with python3
# >= 3.11 and its venv module.
ARG BASE_IMAGE=python:3.12-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /build
# pip lives in a venv of its own and fills the other one from outside: what is shipped never has a pip.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/venv
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1
COPY requirements/gear.txt requirements/build.txt requirements/
# Wheels only: a source distribution's build would fetch packages that no hash pins. No dependencies:
# a lock lists them all, and pip's resolver stops at a newer release that a lock doesn't know.
RUN /opt/build/bin/pip install --no-deps --require-hashes --only-binary :all: \
      -r requirements/build.txt \
 && /opt/build/bin/pip --python /opt/venv/bin/python install --no-deps --require-hashes \
      --only-binary :all: -r requirements/gear.txt \
 && /opt/build/bin/pip --python /opt/venv/bin/python check
# botocore describes some 400 services, the gears speak to these. Tests of packages go too, and the
# images that pydicom brings along for them.
RUN cd /opt/venv/lib/python3*/site-packages \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d \
      ! -name lambda ! -name s3 ! -name ssm ! -name sts -exec rm -r {} + \
 && rm -r pydicom/data/test_files \
 && find . -type d \( -name tests -o -name test \) -prune -exec rm -r {} +
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir dist . \
 && /opt/build/bin/pip --python /opt/venv/bin/python install --no-deps --no-index dist/*.whl
# Compiled here because the gear's user may not write there. The sources can't change any more, so
# nobody needs to look at their times (which image layers round).
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

FROM ${BASE_IMAGE}
# The base's own installers: a gear never installs anything.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/ensurepip \
      /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/site-packages/setuptools* \
      /usr/lib/python3*/ensurepip /usr/share/python-wheels \
 && useradd --uid 1000 --user-group --no-create-home --home-dir /flywheel/v0 gear \
 && mkdir -p /flywheel/v0/input \
 && install -d -o gear -g gear /flywheel/v0/output /flywheel/v0/work \
 # Nothing for everybody to write to but /tmp, and no program (su, mount, passwd, ...) that runs with
 # more rights than its caller.
 && find / -xdev \( -type d -o -type f \) -perm -o+w ! -path /tmp -exec chmod o-w {} + \
 && find / -xdev -type f -perm /6000 -exec chmod ug-s {} +
COPY --from=build /opt/venv /opt/venv
COPY manifest.json /flywheel/v0/manifest.json
# Of the other gears: each finds its own by its name where the platform supplies none.
COPY gears /flywheel/v0/gears
# For `docker run` and fw-beta; a site takes both from the manifest (environment, command), and so
# starts the gear whose manifest it is.
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    FLYWHEEL=/flywheel/v0 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /flywheel/v0
# By number, so that an engine can see that it isn't root.
USER 1000:1000
ENTRYPOINT ["python", "-m", "imaging_gears.image_identifier_lookup.run"]
