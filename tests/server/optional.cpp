// As much of the sysadm server as the optional lines of docs/server.md need around them; the *.inc are these lines.
#include <QJsonObject>
#include <QJsonValue>
#include <QString>

#include "include.inc"

struct RestOutputStruct{
	enum ExitCode { OK, BADREQUEST, FORBIDDEN };
};

struct RestInputStruct{
	bool fullaccess;
	QJsonValue args;
};

class WebSocket{
public:
	RestOutputStruct::ExitCode EvaluateBackendRequest(const RestInputStruct &IN, QJsonObject *out);
	RestOutputStruct::ExitCode EvaluateSysadmIocageRequest(bool allaccess, const QJsonValue in_args, QJsonObject *out);
};

RestOutputStruct::ExitCode WebSocket::EvaluateBackendRequest(const RestInputStruct &IN, QJsonObject *out){
#include "call.inc"
}

#include "definition.inc"

QJsonObject CreateDispatcherEventNotification(QString ID, QJsonObject log){
#include "progress.inc"
  return QJsonObject();
}
