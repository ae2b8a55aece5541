"""
Calls by real SIP phones through a real Asterisk, and what `ami-bridge run` tells of them.

Run with ``make test-asterisk``, as root on a Debian machine; half a minute, and another half for
each chroot that is not there yet. ``AMI_BRIDGE_LAB`` names the folder that keeps the chroots, in
place of ``~/.cache/ami-bridge/asterisk``. Where there can be no Asterisk the tests are skipped;
``AMI_BRIDGE_REQUIRE_ASTERISK=1`` makes them fail instead.

=============  ==================================================================================
chroots        builds the chroots, or finds them
config/        the configuration and the dialplan, for both versions
asterisk       runs one Asterisk on free loopback ports
ami_session    the test's own manager session: orders, and what is to be waited for
sip            SIP messages as text
dialogs        one call as a phone has it
phone          a SIP phone
receiver       the web application that is told
bridge         the program under test, as a process
wire           what it reaches Asterisk by, which can be cut and held
told           what was told, call by call and leg by leg
lab            all of these together, as one test sees it
parties        who the phones belong to
=============  ==================================================================================

A test is the script of a call: phones call, ring, answer, hang up. It waits for conditions, with
`patience`, and never for a time. What it expects is everything that is told, not a part of it.
"""
