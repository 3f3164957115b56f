// A dispatcher of jobs as the sysadm server has it: it lives in a thread of its own, takes jobs from any thread by an
// event to itself, starts each 30 ms later, and says of each what the server's dispatcher says (the shape of the log, the
// increments while it runs, the whole log at the end).
#ifndef TEST_DISPATCHER_H
#define TEST_DISPATCHER_H

#include <QHash>
#include <QJsonObject>
#include <QObject>
#include <QProcess>
#include <QString>

#include <functional>

class Dispatcher : public QObject{
public:
	enum PROC_QUEUE { NO_QUEUE = 0, PKG_QUEUE, IOCAGE_QUEUE };

	// What is done with a job's log whenever there is news; called in the dispatcher's thread.
	std::function<void(const QString &id, const QJsonObject &log)> onLog;

	void queueProcess(QString id, QString command);
	void queueProcess(PROC_QUEUE, QString id, QString command){ queueProcess(id, command); }
	bool isJobActive(QString id);
	QJsonObject CreateDispatcherEventNotification(QString ID, QJsonObject log, bool full_log);
	int queued() const{ return total; }
	bool idle() const{ return jobs.isEmpty(); }

private:
	void start(const QString &id, const QString &command);

	QHash<QString, QProcess*> jobs; // without a lock, as the server's: only this object's thread may look
	int total = 0;
};

#endif
