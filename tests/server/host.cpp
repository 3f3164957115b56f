// A server for tests of the drop-in pair: it has what the pair needs of the sysadm server, and evaluates requests on a
// QtConcurrent pool.
//
//     host CONFIG THREADS
//
// CONFIG is a file, or "-" for the one that the pair reads unless it is told otherwise. The host reads requests as lines of JSON and writes a line of JSON for each, in the order in which they are done:
//
//     {"id": 1, "function": "listJails", "args": {...}}       {"id": 1, "reply": {...}}
//     {"id": 2, "backend": ARGS, "full": true, "rest": true}  {"id": 2, "code": "OK", "reply": {...}}
//     {"id": 3, "token": "x", "auth": "user:"}                {"id": 3, "who": "userToken::::user::::user"}
//     {"id": 4, "child": 7}                                   {"id": 4, "exit": 7}
//
// The second and the third go by the skeleton of the server that include/sysadm/optional.patch has patched: a request, and
// whose access one has on a connection with that token, or with a login of its own. The last one runs a child process of the host's own, which ends with that code. Meanwhile it writes
// {"event": {...}} for each event of the dispatcher, and at the end of its input, when all jobs are done,
// {"jobs": how many were queued}.
#include <QCoreApplication>
#include <QHash>
#include <QJsonDocument>
#include <QMutex>
#include <QThread>
#include <QThreadPool>
#include <QtConcurrent>

#include <iostream>
#include <string>

#include "WebSocket.h"
#include "globals.h"
#include "sysadm-iocage.h"

using sysadm::Iocage;

Dispatcher *DISPATCHER = NULL;

static void write(const QJsonObject &line){
  static QMutex mutex;
  QMutexLocker locked(&mutex);
  std::cout << QJsonDocument(line).toJson(QJsonDocument::Compact).constData() << std::endl;
}

static QJsonObject call(const QString &function, const QJsonObject &args){
  static const QHash<QString, QJsonObject(*)()> plain = {
    {"activateStatus", Iocage::activateStatus}, {"listJails", Iocage::listJails},
    {"listTemplates", Iocage::listTemplates}, {"listReleases", Iocage::listReleases},
    {"listPlugins", Iocage::listPlugins}, {"cleanTemplates", Iocage::cleanTemplates},
    {"cleanReleases", Iocage::cleanReleases}, {"df", Iocage::df},
    {"cleanAll", Iocage::cleanAll}, {"cleanJails", Iocage::cleanJails},
  };
  static const QHash<QString, QJsonObject(*)(QJsonObject)> withArgs = {
    {"activatePool", Iocage::activatePool}, {"deactivatePool", Iocage::deactivatePool},
    {"fetchReleases", Iocage::fetchReleases}, {"fetchPlugin", Iocage::fetchPlugin},
    {"destroyJail", Iocage::destroyJail}, {"stopJail", Iocage::stopJail},
    {"startJail", Iocage::startJail}, {"execJail", Iocage::execJail},
    {"capJail", Iocage::capJail}, {"createJail", Iocage::createJail},
    {"getJailSettings", Iocage::getJailSettings},
  };
  if(plain.contains(function)){ return plain.value(function)(); }
  return withArgs.value(function)(args);
}

static void answer(const QJsonObject &request){
  QJsonObject line;
  line.insert("id", request.value("id"));
  if(request.contains("function")){
    line.insert("reply", call(request.value("function").toString(), request.value("args").toObject()));
  }else if(request.contains("backend")){
    static const char *const CODES[] = { "OK", "BADREQUEST", "FORBIDDEN" };
    static char socket; // nobody looks into it
    WebSocket connection(request.value("rest").toBool() ? NULL : reinterpret_cast<QWebSocket*>(&socket), NULL);
    RestInputStruct in = { "sysadm", "iocage", QString(), request.value("backend"), request.value("full").toBool() };
    QJsonObject reply;
    line.insert("code", CODES[connection.EvaluateBackendRequest(in, &reply)]);
    line.insert("reply", reply);
  }else if(request.contains("token")){
    AuthorizationManager authorization;
    authorization.HASH.insert("adminToken::::operator::::admin", 0);
    WebSocket connection(NULL, &authorization);
    connection.SockAuthToken = request.value("token").toString();
    RestInputStruct in = { "sysadm", "iocage", request.value("auth").toString(), QJsonValue(), false };
    line.insert("who", connection.EvaluateRequest(in));
  }else{
    QProcess child;
    child.start("/bin/sh", QStringList() << "-c" << QString("exit %1").arg(request.value("child").toInt()));
    bool seen = child.waitForFinished(30000) && child.exitStatus()==QProcess::NormalExit;
    line.insert("exit", seen ? child.exitCode() : -1);
  }
  write(line);
}

int main(int argc, char **argv){
  QCoreApplication application(argc, argv);
  if(argc!=3){ std::cerr << "usage: host CONFIG THREADS" << std::endl; return 2; }
  if(std::string(argv[1])!="-"){ Iocage::setConfigFile(QString::fromLocal8Bit(argv[1])); }
  QThreadPool::globalInstance()->setMaxThreadCount(QString(argv[2]).toInt());

  QThread thread;
  DISPATCHER = new Dispatcher();
  DISPATCHER->onLog = [](const QString &id, const QJsonObject &log){
    bool finished = log.value("state")=="finished";
    QJsonObject event = DISPATCHER->CreateDispatcherEventNotification(id, log, finished);
    QJsonObject line;
    line.insert("event", event.isEmpty() ? log : event);
    write(line);
  };
  DISPATCHER->moveToThread(&thread);
  thread.start();

  std::string text;
  while(std::getline(std::cin, text)){
    QJsonObject request = QJsonDocument::fromJson(QByteArray(text.data(), int(text.size()))).object();
    // The future is of no interest: the answer is written by the request itself.
    QFuture<void> future = QtConcurrent::run([request](){ answer(request); });
    Q_UNUSED(future);
  }
  QThreadPool::globalInstance()->waitForDone();
  bool idle = false;
  QJsonObject end;
  while(!idle){
    QThread::msleep(20);
    QMetaObject::invokeMethod(DISPATCHER, [&idle, &end](){
      idle = DISPATCHER->idle();
      end.insert("jobs", DISPATCHER->queued());
    }, Qt::BlockingQueuedConnection);
  }
  write(end);
  thread.quit();
  thread.wait();
  delete DISPATCHER;
  return 0;
}
