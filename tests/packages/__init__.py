"""
What is released, installed where nothing of it was before: the wheel, the sdist, the .deb.

Run with ``make test-packages``, as root on a Debian machine with a network; two minutes. The
Debian package is made and installed in copies of a fresh Debian 12, which is kept beside the
chroots of `tests.asterisk`, and started by that Debian's own systemd, in a container without
any network but its loopback. Where that cannot be the tests are skipped;
``AMI_BRIDGE_REQUIRE_PACKAGES=1`` makes them fail instead.

=========  ======================================================================================
conftest   makes the packages, and gives each test a Debian of its own
debian     a Debian 12: as a folder of files, and running
=========  ======================================================================================
"""
