/*
 * sysadm-iocage.h: the iocage class of the sysadm server, answered by libsysadm_iocage.
 *
 * This pair (with sysadm-iocage.cpp) takes the place of src/server/library/sysadm-iocage.h and .cpp: the same
 * class, the same functions, no other change. docs/server.md says how, and has a few more lines for a server that
 * wants live progress and access control. C++11, Qt 5.10 or later, Core only.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef __PCBSD_LIB_UTILS_IOCAGE_H
#define __PCBSD_LIB_UTILS_IOCAGE_H

#include <QJsonObject>
#include <QJsonValue>
#include <QString>

namespace sysadm{

/*
 * Every function may be called from any number of threads at once. The library is loaded at the first call; if
 * that fails, the call answers {"error": ..., "code": "unavailable"}, and the next one tries again.
 */
class Iocage{
public:
	// What WebBackend.cpp calls. Each takes the request's args, or nothing, and returns what belongs under the
	// action's name: the answer, or "error" and "code". Never an empty object.
	static QJsonObject activateStatus();
	static QJsonObject activatePool(QJsonObject);
	static QJsonObject deactivatePool(QJsonObject);
	static QJsonObject listJails();
	static QJsonObject listTemplates();
	static QJsonObject listReleases();
	static QJsonObject listPlugins();
	static QJsonObject fetchReleases(QJsonObject);
	static QJsonObject fetchPlugin(QJsonObject); //the action createplugin
	static QJsonObject cleanTemplates();
	static QJsonObject cleanReleases();

	// Optional: answers a whole request, with access control. "args" is the value of the request's args, and
	// "fullAccess" whether the user may change anything. Puts the reply's args into "out" and returns the status:
	// 200, or 400, 403 or 500, with which the reply's args are {"error": {"code": ..., "message": ...}}.
	static int evaluate(const QJsonValue &args, bool fullAccess, QJsonObject *out);

	// Optional: what the dispatcher's log of a job means, as the arguments of an event (see sysadm_iocage_progress in
	// sysadm_iocage.h). Empty for a job that is not of this class.
	static QJsonObject progress(const QString &jobId, const QJsonObject &log);

	// Optional: where the configuration is, for a server that does not keep it in
	// /usr/local/etc/sysadm/iocage.json. To be called before any other function.
	static void setConfigFile(const QString &path);

	// What the old class declared too, and no server calls. Who calls them has to see who asks: they act with full
	// access. Each is the action of its name in lower case; if the library does not have it, the code is "unavailable".
	// cleanAll and cleanJails get no "force", so they destroy nothing: they answer "in_use" and name what would go.
	static QJsonObject cleanAll();
	static QJsonObject df();
	static QJsonObject createJail(QJsonObject);
	static QJsonObject destroyJail(QJsonObject);
	static QJsonObject cleanJails();
	static QJsonObject stopJail(QJsonObject);
	static QJsonObject startJail(QJsonObject);
	static QJsonObject execJail(QJsonObject);
	static QJsonObject capJail(QJsonObject);
	static QJsonObject getJailSettings(QJsonObject);
};

} //end of namespace

#endif
