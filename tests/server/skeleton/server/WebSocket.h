// As much of the sysadm server as include/sysadm/optional.patch changes. Of the server's own text there are the lines
// that the patch looks for.
#ifndef TEST_WEBSOCKET_H
#define TEST_WEBSOCKET_H

#include <QJsonObject>
#include <QJsonValue>
#include <QString>

#include "AuthorizationManager.h"

struct RestInputStruct{
	QString namesp, name, auth;
	QJsonValue args;
	bool fullaccess;
};

struct RestOutputStruct{
	enum ExitCode { OK, BADREQUEST, FORBIDDEN };
	RestInputStruct in_struct;
};

class QWebSocket;

class WebSocket{
public:
	// Without a socket it is a REST connection.
	WebSocket(QWebSocket *socket, AuthorizationManager *auth) : SOCKET(socket), AUTHSYSTEM(auth){}
	QString SockAuthToken;

	QString EvaluateRequest(const RestInputStruct &REQ); // whose access the request has
	void AvailableSubsystems(bool allaccess, QJsonObject *out);
	RestOutputStruct::ExitCode EvaluateBackendRequest(const RestInputStruct &IN, QJsonObject *out);
	RestOutputStruct::ExitCode EvaluateSysadmIocageRequest(const QJsonValue in_args, QJsonObject *out);

private:
	QWebSocket *SOCKET;
	AuthorizationManager *AUTHSYSTEM;
};

#endif
