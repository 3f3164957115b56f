/*
 * sysadm-iocage.cpp: loads libsysadm_iocage and hands it the requests of the iocage class; see sysadm-iocage.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "sysadm-iocage.h"

#include <QDebug>
#include <QFile>
#include <QJsonDocument>
#include <QLibrary>
#include <QMutex>
#include <QMutexLocker>
#include <QSemaphore>
#include <QSharedPointer>
#include <QStringList>
#include <QThread>

#include <functional>

#include "globals.h" // the global DISPATCHER

namespace{

// The part of sysadm_iocage.h that is used here, repeated so that these two files are all that a server needs. A test
// of the library's project compares the two.
const quint32 ABI_VERSION = 1;
const qint32 ACCESS_READ = 0;
const qint32 ACCESS_FULL = 1;
const qint32 LOG_ERROR = 3;

struct Host{
  size_t struct_size;
  void *user_data;
  bool (*queue_process)(void *user_data, const char *job_id, const char *const *argv);
  bool (*is_job_active)(void *user_data, const char *job_id);
  void (*log)(void *user_data, qint32 level, const char *message);
  void (*job_ended)(void *user_data, const char *job_id, const char *event_json);
};

struct Functions{
  quint32 (*abi_version)();
  void *(*open)(const char *config_json, const Host *host, char **error);
  char *(*evaluate)(const void *plugin, const char *args_json, qint32 access, qint32 *status);
  char *(*progress)(const void *plugin, const char *job_id, const char *job_log_json);
  void (*free)(char *string);
};

// ---- The host's side: the server's dispatcher ----

// One word of a command string as QProcess splits it: spaces separate, double quotes group, three make one.
QString quoted(QString word){
  word.replace("\"", "\"\"\"");
  bool group = word.isEmpty();
  for(int i=0; i<word.length() && !group; i++){ group = word[i].isSpace(); }
  return group ? "\""+word+"\"" : word;
}

// Runs "work" in the dispatcher's thread and waits for it: the list of jobs has no lock. False where that thread does
// not get to it in time, as while the server ends.
bool inDispatcherThread(const std::function<void()> &work){
  if(DISPATCHER->thread()==QThread::currentThread()){ work(); return true; }
  QSharedPointer<QSemaphore> done(new QSemaphore());
  QMetaObject::invokeMethod(DISPATCHER, [work, done](){ work(); done->release(); }, Qt::QueuedConnection);
  return done->tryAcquire(1, 2000);
}

bool isJobActive(void *, const char *job_id){
  QString id = QString::fromUtf8(job_id);
  QSharedPointer<bool> active(new bool(false));
  if(!inDispatcherThread([id, active](){ *active = DISPATCHER->isJobActive(id); })){
    return DISPATCHER->isJobActive(id);
  }
  return *active;
}

bool queueProcess(void *, const char *job_id, const char *const *argv){
  QStringList words;
  for(; *argv!=NULL; argv++){ words << quoted(QString::fromUtf8(*argv)); }
  DISPATCHER->queueProcess(QString::fromUtf8(job_id), words.join(" "));
  // The dispatcher takes a job in by a signal to itself. When what comes after that signal has run, the job is in its
  // list, and no second request can miss it there.
  inDispatcherThread([](){});
  return true;
}

void logMessage(void *, qint32 level, const char *message){
  if(level<=LOG_ERROR){ qWarning("iocage: %s", message); }
  else{ qDebug("iocage: %s", message); }
}

// ---- The library ----

QMutex MUTEX; // of the three below, until PLUGIN is there
QString CONFIG_FILE = "/usr/local/etc/sysadm/iocage.json";
Functions LIBRARY;
void *PLUGIN = NULL; // lives as long as the server

template<typename F> bool resolve(QLibrary &library, const char *name, F &function){
  function = reinterpret_cast<F>(library.resolve(name));
  return function!=NULL;
}

// Loads the library and opens an instance; returns what went wrong, or nothing.
QString load(){
  QByteArray config;
  QFile file(CONFIG_FILE);
  if(file.open(QIODevice::ReadOnly)){ config = file.readAll(); }
  else if(file.exists()){ return CONFIG_FILE+": "+file.errorString(); }

  // The library checks the configuration when it is loaded; here only its own place matters.
  QString path = QJsonDocument::fromJson(config).object().value("library").toString();
  QLibrary library(path.isEmpty() ? QString("sysadm_iocage") : path);
  if(!library.load()){ return "the iocage library is not installed: "+library.errorString(); }
  Functions functions;
  if(!resolve(library, "sysadm_iocage_abi_version", functions.abi_version)){
    return library.fileName()+" is not the iocage library";
  }
  if(functions.abi_version()!=ABI_VERSION){
    return QString("%1 has version %2 of its interface, this server wants %3")
      .arg(library.fileName()).arg(functions.abi_version()).arg(ABI_VERSION);
  }
  if(!resolve(library, "sysadm_iocage_open", functions.open)
      || !resolve(library, "sysadm_iocage_evaluate", functions.evaluate)
      || !resolve(library, "sysadm_iocage_progress", functions.progress)
      || !resolve(library, "sysadm_iocage_free", functions.free)){
    return library.fileName()+": "+library.errorString();
  }
  Host host = { sizeof(Host), NULL, queueProcess, isJobActive, logMessage, NULL };
  char *error = NULL;
  void *plugin = functions.open(config.isEmpty() ? NULL : config.constData(), &host, &error);
  if(plugin==NULL){
    QString why = QString::fromUtf8(error);
    functions.free(error);
    return CONFIG_FILE+": "+why;
  }
  LIBRARY = functions;
  PLUGIN = plugin;
  return QString();
}

// The instance, or NULL and why there is none.
void *plugin(QString *error){
  QMutexLocker locked(&MUTEX);
  if(PLUGIN==NULL){ *error = load(); }
  return PLUGIN;
}

// A string of the library as JSON, freed.
QJsonObject take(char *json){
  QJsonObject object = QJsonDocument::fromJson(QByteArray(json)).object();
  LIBRARY.free(json);
  return object;
}

QJsonObject failure(const QString &error, const QString &code){
  QJsonObject object;
  object.insert("error", error);
  object.insert("code", code);
  return object;
}

QByteArray toText(const QJsonObject &object){
  return QJsonDocument(object).toJson(QJsonDocument::Compact);
}

// What an action answers.
QJsonObject ask(const QString &action, QJsonObject args = QJsonObject()){
  args.insert("action", action);
  QJsonObject out;
  int status = sysadm::Iocage::evaluate(args, true, &out);
  QJsonObject answer = out.value(action).toObject();
  if(answer.isEmpty()){ answer = failure(QString("%1 was refused with status %2").arg(action).arg(status), "failed"); }
  return answer;
}

QJsonObject notOffered(const QString &function){
  return failure(function+" is not offered by the iocage library", "unavailable");
}

} //end of namespace

using namespace sysadm;

int Iocage::evaluate(const QJsonValue &args, bool fullAccess, QJsonObject *out){
  QString error;
  void *instance = plugin(&error);
  if(instance==NULL){
    QString action = args.toObject().value("action").toString();
    if(action.isEmpty()){ return 400; }
    out->insert(action, failure(error, "unavailable"));
    return 200;
  }
  if(!args.isObject()){ return 400; }
  qint32 status = 500;
  QJsonObject reply = take( LIBRARY.evaluate(instance, toText(args.toObject()).constData(),
                                             fullAccess ? ACCESS_FULL : ACCESS_READ, &status) );
  if(status==200){
    for(QJsonObject::const_iterator i=reply.constBegin(); i!=reply.constEnd(); ++i){ out->insert(i.key(), i.value()); }
  }
  return status;
}

QJsonObject Iocage::progress(const QString &jobId, const QJsonObject &log){
  QString error;
  void *instance = plugin(&error);
  if(instance==NULL){ return QJsonObject(); }
  char *event = LIBRARY.progress(instance, jobId.toUtf8().constData(), toText(log).constData());
  return event==NULL ? QJsonObject() : take(event);
}

void Iocage::setConfigFile(const QString &path){
  QMutexLocker locked(&MUTEX);
  CONFIG_FILE = path;
}

QJsonObject Iocage::activateStatus(){ return ask("activatestatus"); }
QJsonObject Iocage::activatePool(QJsonObject args){ return ask("activatepool", args); }
QJsonObject Iocage::deactivatePool(QJsonObject args){ return ask("deactivatepool", args); }
QJsonObject Iocage::listJails(){ return ask("listjails"); }
QJsonObject Iocage::listTemplates(){ return ask("listtemplates"); }
QJsonObject Iocage::listReleases(){ return ask("listreleases"); }
QJsonObject Iocage::listPlugins(){ return ask("listplugins"); }
QJsonObject Iocage::fetchReleases(QJsonObject args){ return ask("fetchreleases", args); }
QJsonObject Iocage::fetchPlugin(QJsonObject args){ return ask("createplugin", args); }
QJsonObject Iocage::cleanTemplates(){ return ask("cleantemplates"); }
QJsonObject Iocage::cleanReleases(){ return ask("cleanreleases"); }

QJsonObject Iocage::cleanAll(){ return notOffered("cleanAll"); }
QJsonObject Iocage::df(){ return notOffered("df"); }
QJsonObject Iocage::createJail(QJsonObject){ return notOffered("createJail"); }
QJsonObject Iocage::destroyJail(QJsonObject){ return notOffered("destroyJail"); }
QJsonObject Iocage::cleanJails(){ return notOffered("cleanJails"); }
QJsonObject Iocage::stopJail(QJsonObject){ return notOffered("stopJail"); }
QJsonObject Iocage::startJail(QJsonObject){ return notOffered("startJail"); }
QJsonObject Iocage::execJail(QJsonObject){ return notOffered("execJail"); }
QJsonObject Iocage::capJail(QJsonObject){ return notOffered("capJail"); }
QJsonObject Iocage::getJailSettings(QJsonObject){ return notOffered("getJailSettings"); }
